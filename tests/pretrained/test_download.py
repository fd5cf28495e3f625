import hashlib
import http.server
import threading
import urllib.request

import pytest

from jaxvid.models.backbones import BACKBONES
from jaxvid.pretrained import download
from jaxvid.pretrained.download import WEIGHTS, Digest, DownloadError, PublishedWeights, fetch, fetch_weights

CONTENT = bytes(range(256)) * 100
SHA256 = Digest("sha256", hashlib.sha256(CONTENT).hexdigest())


class Host(http.server.BaseHTTPRequestHandler):
    """Sends CONTENT, only a half of it at /cut, and nothing at /absent; counts the requests.

    At /busy it is busy the first time, at /flaky it sends a half of what is asked for, which may be a part.
    """

    requests = 0

    def do_GET(self):
        Host.requests += 1
        if self.path == "/absent" or (self.path == "/busy" and Host.requests == 1):
            self.send_error(404 if self.path == "/absent" else 503)
            return
        if self.path == "/loop":
            self.send_response(302)
            self.send_header("Location", self.path)
            self.end_headers()
            return
        if self.path == "/flaky":
            first = int(self.headers.get("Range", "bytes=0-")[6:-1])
            self.send_response(206 if first else 200)
            self.send_header("Content-Range", f"bytes {first}-{len(CONTENT) - 1}/{len(CONTENT)}")
            self.send_header("Content-Length", str(len(CONTENT) - first))
            self.end_headers()
            self.wfile.write(CONTENT[first : first + len(CONTENT) // 2])
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[: len(CONTENT) // 2] if self.path == "/cut" else CONTENT)

    def log_message(self, *args):
        del args


@pytest.fixture
def address(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(Host, "requests", 0)
    monkeypatch.setattr(download, "_PAUSE_SECONDS", 0.0)
    server = http.server.HTTPServer(("127.0.0.1", 0), Host)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    "digest", [SHA256, Digest("sha256", SHA256.prefix[:8]), Digest("md5", hashlib.md5(CONTENT).hexdigest()), None]
)
def test_a_file_is_downloaded_once(digest, address, tmp_path):
    cache = tmp_path / "new" / "cache"
    for _ in range(2):
        path = fetch(f"{address}/w.h5", "w.h5", digest, cache)
        assert path == cache / "w.h5"
        assert path.read_bytes() == CONTENT
    assert Host.requests == 1
    assert list(cache.iterdir()) == [path]


def test_the_environment_sets_the_folder_of_the_cache(address, tmp_path, monkeypatch):
    monkeypatch.setenv("JAXVID_CACHE", str(tmp_path / "cache"))
    assert fetch(f"{address}/w.h5", "w.h5", SHA256) == tmp_path / "cache" / "w.h5"
    monkeypatch.delenv("JAXVID_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert fetch(f"{address}/w.h5", "w.h5", SHA256) == tmp_path / "home" / ".cache" / "jaxvid" / "w.h5"


def test_a_file_with_another_hash_is_not_kept(address, tmp_path):
    with pytest.raises(DownloadError, match=rf"the sha256 {SHA256.prefix}, but the published one begins with 0000"):
        fetch(f"{address}/w.h5", "w.h5", Digest("sha256", "00000000"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_file_in_the_cache_is_named_and_left_alone(tmp_path):
    (tmp_path / "w.h5").write_bytes(b"else")
    with pytest.raises(DownloadError, match=r"w.h5 has the sha256 .*; remove it, and it will be downloaded from http:"):
        fetch("http://127.0.0.1:1/w.h5", "w.h5", SHA256, tmp_path)
    assert (tmp_path / "w.h5").read_bytes() == b"else"


@pytest.mark.parametrize("path", ["cut", "absent"])
def test_a_failed_download_leaves_nothing(path, address, tmp_path):
    with pytest.raises(DownloadError, match="cannot download w.h5 from http"):
        fetch(f"{address}/{path}", "w.h5", SHA256, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["busy", "flaky"])
def test_a_host_that_is_busy_or_breaks_off_is_asked_for_the_rest(path, address, tmp_path):
    assert fetch(f"{address}/{path}", "w.h5", SHA256, tmp_path).read_bytes() == CONTENT
    assert Host.requests == 2


def test_more_than_any_weights_have_is_not_kept(address, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "_MAX_BYTES", len(CONTENT) - 1)
    with pytest.raises(DownloadError, match=f"sends more than {len(CONTENT) - 1} bytes; what it sent was not kept"):
        fetch(f"{address}/w.h5", "w.h5", SHA256, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_many_lines_is_told_in_one(address, tmp_path):
    with pytest.raises(DownloadError, match="infinite loop") as caught:
        fetch(f"{address}/loop", "w.h5", SHA256, tmp_path)
    assert "\n" not in str(caught.value)


def test_a_redirection_never_leaves_the_encrypted_connection():
    request = urllib.request.Request("https://example.org/w.h5")
    follow = download._KeepHttps().redirect_request
    moved = follow(request, None, 302, "Found", {}, "https://elsewhere.example.org/w.h5")
    assert moved.full_url == "https://elsewhere.example.org/w.h5"
    with pytest.raises(OSError, match="http://example.org/w.h5, which is not encrypted"):
        follow(request, None, 302, "Found", {}, "http://example.org/w.h5")


def test_without_a_network_the_error_names_the_file_and_its_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    # Nothing listens at port 1.
    weights = PublishedWeights("http://127.0.0.1:1/models/made_up.h5", SHA256)
    monkeypatch.setattr(download, "WEIGHTS", {"made_up": weights})
    with pytest.raises(DownloadError) as caught:
        fetch_weights("made_up", tmp_path)
    assert "cannot download made_up.h5 from http://127.0.0.1:1/models/made_up.h5" in str(caught.value)
    assert f"put it at {tmp_path / 'made_up.h5'}" in str(caught.value)
    (tmp_path / "made_up.h5").write_bytes(CONTENT)
    assert fetch_weights("made_up", tmp_path) == tmp_path / "made_up.h5"


def test_every_backbone_has_weights_with_and_without_classifier():
    assert {f"{name}{suffix}" for name in BACKBONES for suffix in ("", "_notop")} < set(WEIGHTS)
    # Torchvision's hashes are in its file names.
    assert WEIGHTS["r2plus1d_18"].filename == "r2plus1d_18-91a641e6.pth"
    assert WEIGHTS["r2plus1d_18"].digest == Digest("sha256", "91a641e6")


def test_unknown_weights_are_named_with_what_is_allowed():
    with pytest.raises(ValueError, match=r"no published weights are known for 'alexnet'; allowed: vgg16, vgg16_notop"):
        fetch_weights("alexnet")
