"""What the command is to predict: paths, and videos at addresses, which are downloaded first and removed at the end."""

import contextlib
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from jaxvid.predict.files import named_videos
from jaxvid.video.downloads import NotDownloadedError, download_video, downloader, is_web_address


class Requested(NamedTuple):
    """The videos that arguments name.

    Attributes:
      paths: of files and folders, in the order of the arguments.
      addresses: those of the files that are removed at the end, by path.
      refused: why an address could not be downloaded, by address.
    """

    paths: list[Path]
    addresses: Mapping[Path, str]
    refused: Mapping[str, str]


def check_arguments(arguments: Sequence[str]) -> None:
    """Checks what can be checked before the first download.

    Raises:
      ValueError: if a path is none of a video (`named_videos`), or there are addresses and nothing to download them.
    """
    local = [Path(argument) for argument in arguments if not is_web_address(argument)]
    if local or not arguments:
        named_videos(local)
    if len(local) < len(arguments):
        downloader()


@contextlib.contextmanager
def requested_videos(arguments: Sequence[str], keep: Path | None = None) -> Iterator[Requested]:
    """Downloads the videos at the addresses among the arguments; an address that is refused does not stop the others.

    Args:
      arguments: paths and addresses.
      keep: directory to download to; None for a temporary one, which is removed when the context ends.

    Raises:
      ValueError: if there is nothing but addresses that are refused.
    """
    with contextlib.ExitStack() as stack:
        paths: list[Path] = []
        addresses: dict[Path, str] = {}
        refused: dict[str, NotDownloadedError] = {}
        directory = keep
        for argument in dict.fromkeys(arguments):
            if not is_web_address(argument):
                paths.append(Path(argument))
                continue
            if directory is None:
                directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="jaxvid-")))
            try:
                path = download_video(argument, directory)
            except NotDownloadedError as error:
                refused[argument] = error
                continue
            # Two addresses may lead to one video.
            if path not in paths:
                paths.append(path)
            if keep is None:
                addresses[path] = argument
        if refused and not paths:
            raise ValueError("; ".join(map(str, refused.values())))
        yield Requested(paths, addresses, {address: error.reason for address, error in refused.items()})


def name_of(address: str) -> str:
    """Returns a name for an address that is one of a directory too."""
    return re.sub(r"[^\w.-]+", "_", address)[:120]
