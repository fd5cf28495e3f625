"""Published weight files, downloaded once into a cache and checked.

The cache is `~/.cache/jaxvid`, or the directory that the environment variable JAXVID_CACHE names.
"""

import hashlib
import http.client
import os
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, NamedTuple

from absl import logging
from tqdm import tqdm

_CHUNK_BYTES = 1 << 20
_TIMEOUT_SECONDS = 30
# A download that breaks off goes on where it did, so often.
_ATTEMPTS = 4
_PAUSE_SECONDS = 1.0
# Answers of a host that will have the file later.
_LATER = (408, 429, 500, 502, 503, 504)
# No published weights are as large as this.
_MAX_BYTES = 4 << 30


class DownloadError(OSError):
    """A file that cannot be downloaded, or is not the published one."""


class Digest(NamedTuple):
    """The beginning of a file's hash: the name of the hash in hashlib, and at least eight hexadecimal digits."""

    algorithm: str
    prefix: str


class PublishedWeights(NamedTuple):
    """The address of a published weight file, and its hash if that is published too."""

    url: str
    digest: Digest | None

    @property
    def filename(self) -> str:
        """Name of the file."""
        return self.url.rpartition("/")[2]


def _keras(path: str, md5: str | None) -> PublishedWeights:
    url = f"https://storage.googleapis.com/tensorflow/keras-applications/{path}"
    return PublishedWeights(url, Digest("md5", md5) if md5 else None)


def _torchvision(name: str) -> PublishedWeights:
    """Torchvision's file names end in the first digits of their SHA-256."""
    return PublishedWeights(
        f"https://download.pytorch.org/models/{name}.pth", Digest("sha256", name.rpartition("-")[2])
    )


# Addresses and MD5 sums as in keras.src.applications (which has no sums for MobileNet), trained on ImageNet, with and
# without the classifier; and as in torchvision.models.video, trained on Kinetics-400.
_TF = "weights_tf_dim_ordering_tf_kernels"
WEIGHTS: MappingProxyType[str, PublishedWeights] = MappingProxyType(
    {
        "vgg16": _keras(f"vgg16/vgg16_{_TF}.h5", "64373286793e3c8b2b4e3219cbf3544b"),
        "vgg16_notop": _keras(f"vgg16/vgg16_{_TF}_notop.h5", "6d6bbae143d832006294945121d1f1fc"),
        "vgg19": _keras(f"vgg19/vgg19_{_TF}.h5", "cbe5617147190e668d6c5d5026f83318"),
        "vgg19_notop": _keras(f"vgg19/vgg19_{_TF}_notop.h5", "253f8cb515780f3b799900260a226db6"),
        "inception_v3": _keras(f"inception_v3/inception_v3_{_TF}.h5", "9a0d58056eeedaa3f26cb7ebd46da564"),
        "inception_v3_notop": _keras(f"inception_v3/inception_v3_{_TF}_notop.h5", "bcbd6486424b2319ff4ef7d526e38f63"),
        "xception": _keras(f"xception/xception_{_TF}.h5", "0a58e3b7378bc2990ea3b43d5981f1f6"),
        "xception_notop": _keras(f"xception/xception_{_TF}_notop.h5", "b0042744bf5b25fce3cb969f33bebb97"),
        "resnet50": _keras(f"resnet/resnet50_{_TF}.h5", "2cb95161c43110f7111970584f804107"),
        "resnet50_notop": _keras(f"resnet/resnet50_{_TF}_notop.h5", "4d473c1dd8becc155b73f8504c6f6626"),
        "mobilenet": _keras("mobilenet/mobilenet_1_0_224_tf.h5", None),
        "mobilenet_notop": _keras("mobilenet/mobilenet_1_0_224_tf_no_top.h5", None),
        "inception_resnet_v2": _keras(
            f"inception_resnet_v2/inception_resnet_v2_{_TF}.h5", "e693bd0210a403b3192acc6073ad2e96"
        ),
        "inception_resnet_v2_notop": _keras(
            f"inception_resnet_v2/inception_resnet_v2_{_TF}_notop.h5", "d19885ff4a710c122648d3b5c3b684e4"
        ),
        "r2plus1d_18": _torchvision("r2plus1d_18-91a641e6"),
        "r3d_18": _torchvision("r3d_18-b3b3357e"),
        "mc3_18": _torchvision("mc3_18-a90a0ba3"),
    }
)


def fetch_weights(name: str, cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """Returns the file of WEIGHTS called `name`, downloaded if it is not in the cache.

    Args:
      name: a key of WEIGHTS: an architecture; for the Keras ones with `_notop` for the file without the classifier.
      cache_dir: another cache than that of this module's docstring.

    Raises:
      ValueError: if there is no such entry.
      DownloadError: as `fetch`.
    """
    if name not in WEIGHTS:
        raise ValueError(f"no published weights are known for {name!r}; allowed: {', '.join(WEIGHTS)}")
    weights = WEIGHTS[name]
    return fetch(weights.url, weights.filename, weights.digest, cache_dir)


def fetch(url: str, filename: str, digest: Digest | None, cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """Returns the file `filename` of the cache, downloaded from `url` if it is not there yet.

    The file is checked each time, also if it was put there by hand. It gets its name only when it is complete and
    its hash is right.

    Args:
      url: its address.
      filename: its name in the cache.
      digest: the beginning of its hash; None leaves it unchecked and logs its SHA-256 with a warning.
      cache_dir: another cache than that of this module's docstring.

    Raises:
      DownloadError: if the file cannot be downloaded (the error says from where, and where to put it by hand), or has
        another hash than published.
    """
    directory = Path(cache_dir or os.environ.get("JAXVID_CACHE") or Path.home() / ".cache" / "jaxvid")
    path = directory / filename
    if path.exists():
        _check(path, digest, advice=f"remove it, and it will be downloaded from {url}")
        return path
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory) as scratch:
            partial = Path(scratch) / filename
            _download(url, partial)
            _check(partial, digest, advice=f"what {url} sent was not kept")
            partial.replace(path)
    except DownloadError:
        raise
    except (OSError, http.client.HTTPException) as error:
        reason = " ".join(str(error).split())
        raise DownloadError(
            f"cannot download {filename} from {url} ({reason}). Without a network, download it elsewhere and put it at "
            f"{path}; the environment variable JAXVID_CACHE names another directory."
        ) from error
    return path


class _KeepHttps(urllib.request.HTTPRedirectHandler):
    """Follows redirections, but never from an encrypted connection to another."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        if req.full_url.startswith("https:") and not newurl.startswith("https:"):
            raise OSError(f"it redirects to {newurl}, which is not encrypted")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _download(url: str, path: Path) -> None:
    """Downloads a file in one or more connections."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            _download_rest(url, path)
            return
        except (OSError, http.client.HTTPException) as error:
            comes_later = True
            if isinstance(error, urllib.error.HTTPError):
                error.close()
                comes_later = error.code in _LATER
            if attempt == _ATTEMPTS or isinstance(error, DownloadError) or not comes_later:
                raise
            logging.info("Downloading %s: %s; trying again", path.name, error)
            time.sleep(_PAUSE_SECONDS * 2 ** (attempt - 1))


def _download_rest(url: str, path: Path) -> None:
    """Downloads what a file still lacks; all of it, if the host does not send parts."""
    held = path.stat().st_size if path.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={held}-"} if held else {})
    with urllib.request.build_opener(_KeepHttps).open(request, timeout=_TIMEOUT_SECONDS) as response:
        # A part that begins elsewhere is none of this file: its hash would be wrong.
        continues = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {held}-")
        held = held if continues else 0
        length = response.headers.get("Content-Length", "")
        total = held + int(length) if length.isdigit() else None
        with (
            path.open("ab" if continues else "wb") as file,
            tqdm(total=total, initial=held, unit="B", unit_scale=True, desc=path.name) as progress,
        ):
            received = held + _copy(response, file, progress, _MAX_BYTES - held)
    if total is not None and received != total:
        raise OSError(f"the connection ended after {received} of {total} bytes")


def _copy(response: http.client.HTTPResponse, file: BinaryIO, progress: tqdm, most: int) -> int:
    received = 0
    while chunk := response.read(_CHUNK_BYTES):
        file.write(chunk)
        progress.update(len(chunk))
        received += len(chunk)
        if received > most:
            raise DownloadError(f"{response.url} sends more than {_MAX_BYTES} bytes; what it sent was not kept")
    return received


def _check(path: Path, digest: Digest | None, advice: str) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, digest.algorithm if digest else "sha256").hexdigest()
    if digest is None:
        logging.warning("No hash is published for %s; its SHA-256 is %s.", path.name, found)
    elif not found.startswith(digest.prefix):
        raise DownloadError(
            f"{path} has the {digest.algorithm} {found}, but the published one begins with {digest.prefix}; {advice}"
        )
