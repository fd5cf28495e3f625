import sys

import pytest
import yt_dlp

from jaxvid.video.downloads import NotDownloadedError, download_video, is_web_address
from jaxvid.video.streams import open_video
from tests.predict.made_videos import write_red
from tests.serving import served


@pytest.fixture
def site(tmp_path, monkeypatch):
    """The address of a site with a video, a page that shows it, and a page without one."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    directory = tmp_path / "site"
    directory.mkdir()
    write_red(directory / "fight.mp4", [0.1] * 2, sound=True)
    (directory / "page.html").write_text(
        '<html><head><title>Two: a/b</title></head><video src="fight.mp4"></video></html>'
    )
    (directory / "text.html").write_text("<html><head><title>Nothing</title></head></html>")
    with served(directory) as (address, paths):
        yield address, paths


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://www.youtube.com/watch?v=abc", True),
        ("HTTP://example.org/a.mp4", True),
        ("videos/https.mp4", False),
        ("https:/a.mp4", False),
        ("C:/a.mp4", False),
        ("rtsp://camera/1", False),
    ],
)
def test_addresses_are_told_from_paths(text, expected):
    assert is_web_address(text) == expected


def test_a_video_is_downloaded_under_its_title_and_id_once(site, tmp_path):
    address, paths = site
    path = download_video(f"{address}/fight.mp4", tmp_path / "out")
    assert path == tmp_path / "out" / "fight [fight].mp4"
    assert path.read_bytes() == (tmp_path / "site" / "fight.mp4").read_bytes()
    with open_video(path) as container:
        assert container.streams.audio
    size = path.stat().st_mtime_ns
    assert download_video(f"{address}/fight.mp4", tmp_path / "out") == path
    assert path.stat().st_mtime_ns == size
    assert [item.name for item in path.parent.iterdir()] == [path.name]
    assert "/fight.mp4" in paths


def test_the_video_of_a_page_has_the_title_of_the_page(site, tmp_path):
    path = download_video(f"{site[0]}/page.html", tmp_path)
    assert path.parent == tmp_path
    assert path.name.startswith("Two")
    assert path.suffix == ".mp4"
    assert "/" not in path.name


@pytest.mark.parametrize(
    ("path", "reason"),
    [("nowhere.mp4", "HTTP Error 404"), ("text.html", "Unsupported URL")],
)
def test_what_a_site_does_not_have_is_refused_in_one_line(site, tmp_path, path, reason, capfd):
    with pytest.raises(NotDownloadedError, match=reason) as refused:
        download_video(f"{site[0]}/{path}", tmp_path / "out")
    assert str(refused.value).startswith(f"{site[0]}/{path} was not downloaded: ")
    assert "\n" not in str(refused.value)
    # Nothing is said twice.
    assert "ERROR" not in "".join(capfd.readouterr())


def test_a_server_that_does_not_answer_is_a_reason(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with served(tmp_path) as (address, _):
        pass
    with pytest.raises(NotDownloadedError, match="refused"):
        download_video(f"{address}/fight.mp4", tmp_path / "out")


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "[youtube] abc: Private video. Sign in if you've been granted access to this video. Use "
            "--cookies-from-browser or --cookies for the authentication. See  https://github.com/yt-dlp/yt-dlp/wiki",
            "[youtube] abc: Private video. Sign in if you've been granted access to this video.",
        ),
        (
            "[youtube] abc: Sign in to confirm your age. This video may be inappropriate for some users. Use --cookies",
            "[youtube] abc: Sign in to confirm your age. This video may be inappropriate for some users.",
        ),
        ("[youtube] abc: Video unavailable", "[youtube] abc: Video unavailable"),
        ("[x] abc: Broken; please report this issue on  https://github.com/yt-dlp , filling out", "[x] abc: Broken"),
        ("[x] abc: first\nsecond", "[x] abc: first second"),
    ],
)
def test_refusals_of_sites_keep_their_reason_alone(message, expected, tmp_path, monkeypatch):
    def refuse(self, address, download):
        self.report_error(message)

    monkeypatch.setattr(yt_dlp.YoutubeDL, "extract_info", refuse)
    with pytest.raises(NotDownloadedError) as refused:
        download_video("https://www.youtube.com/watch?v=abc", tmp_path)
    assert refused.value.reason == expected


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        ({"_type": "playlist", "entries": []}, "it leads to a list of videos; give the address of one"),
        (None, "it leads to a list of videos"),
        ({"id": "a", "live_status": "is_live"}, "it is a live stream, which does not end; --camera"),
        ({"id": "a", "live_status": "is_upcoming"}, "it has not begun yet"),
    ],
)
def test_lists_and_live_streams_are_refused_before_anything_is_downloaded(found, reason, tmp_path, monkeypatch):
    monkeypatch.setattr(yt_dlp.YoutubeDL, "extract_info", lambda *_, download: found)
    with pytest.raises(NotDownloadedError, match=reason):
        download_video("https://www.youtube.com/@channel", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_without_yt_dlp_the_message_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "yt_dlp", None)
    with pytest.raises(ValueError, match=r'downloaded by yt-dlp: pip install -e ".\[youtube\]"'):
        download_video("https://www.youtube.com/watch?v=abc", tmp_path)
