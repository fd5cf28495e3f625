"""Videos at addresses of YouTube and other sites, downloaded by yt-dlp, which the extra `youtube` brings."""

import re
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from tqdm import tqdm

# Networks take smaller frames; more lines would be downloaded in vain.
_LINES = "[height<=?480]"
# Of a site that keeps pictures and sound apart, ffmpeg puts them together; without it, the pictures are taken alone.
_JOINED = f"b{_LINES}/bv*{_LINES}+ba/b/bv*+ba/bv*"
_NOT_JOINED = f"b{_LINES}/b/bv*{_LINES}/bv*"
# What yt-dlp says beside the reason: how its own command is told a password, where its developers take reports.
_ADVICE = re.compile(
    r"( Use --|[;.]? please report this issue| See  ?https://| \(caused by ).*", re.IGNORECASE | re.DOTALL
)


class NotDownloadedError(ValueError):
    """A video that cannot be downloaded.

    Attributes:
      reason: why, in one line.
    """

    def __init__(self, address: str, reason: str):
        """Makes the error for an address."""
        super().__init__(f"{address} was not downloaded: {reason}")
        self.reason = reason


def is_web_address(text: str) -> bool:
    """Returns whether a text is the address of a page or a file, and not a path."""
    parts = urlsplit(text)
    return parts.scheme.lower() in ("http", "https") and bool(parts.netloc)


def downloader() -> ModuleType:
    """Returns the module `yt_dlp`.

    Raises:
      ValueError: if it is not installed.
    """
    try:
        # Not at the top: an extra, and not needed for files.
        import yt_dlp
    except ImportError as error:
        raise ValueError('videos at addresses are downloaded by yt-dlp: pip install -e ".[youtube]"') from error
    return yt_dlp


def download_video(address: str, directory: Path) -> Path:
    """Downloads the video at an address, and returns the file: `TITLE [ID].EXTENSION` in the directory.

    A file of that name that is there already is not downloaded again.

    Raises:
      NotDownloadedError: if the site refuses (a video that is private, removed or for adults), does not answer, or the
        address is that of a list of videos or of a live stream.
      ValueError: if yt-dlp is not installed.
    """
    yt_dlp = downloader()
    with tqdm(desc=f"Downloading {address}", unit="B", unit_scale=True, leave=False) as bar:
        options = _options(directory) | {"progress_hooks": [lambda status: _show(bar, status)]}
        try:
            with yt_dlp.YoutubeDL(options) as site:
                found = site.extract_info(address, download=False)
                if reason := _unfit(found):
                    raise NotDownloadedError(address, reason)
                [file] = site.process_ie_result(found, download=True)["requested_downloads"]
        except yt_dlp.utils.YoutubeDLError as error:
            raise NotDownloadedError(address, _reason(error)) from error
    return Path(file["filepath"])


def _options(directory: Path) -> dict[str, Any]:
    """Returns the options of `yt_dlp.YoutubeDL`."""
    return {
        "paths": {"home": str(directory)},
        # Bytes, as file systems limit names.
        "outtmpl": "%(title).120B [%(id).60B].%(ext)s",
        "format": _JOINED if shutil.which("ffmpeg") else _NOT_JOINED,
        # The video alone where an address names a list too; of a list, one look is enough to refuse it.
        "noplaylist": True,
        "extract_flat": "in_playlist",
        "playlist_items": "1",
        "socket_timeout": 30,
        "logger": _Silent(),
        "noprogress": True,
        "color": "no_color",
    }


def _unfit(found: Any) -> str:
    """Returns why what an address leads to is not one whole video; "" if it is."""
    if not found or found.get("_type", "video") != "video":
        return "it leads to a list of videos; give the address of one"
    if found.get("live_status") == "is_live" or found.get("is_live"):
        return "it is a live stream, which does not end; --camera follows the address of a stream"
    if found.get("live_status") == "is_upcoming":
        return "it has not begun yet"
    return ""


def _reason(error: Exception) -> str:
    """Returns the reason of an error of yt-dlp in one line."""
    text = str(error).removeprefix("ERROR:").strip()
    return " ".join(_ADVICE.sub("", text).split()) or type(error).__name__


def _show(bar: "tqdm[Any]", status: dict[str, Any]) -> None:
    bar.total = status.get("total_bytes") or status.get("total_bytes_estimate")
    bar.update(status.get("downloaded_bytes", bar.n) - bar.n)


class _Silent:
    """Takes the messages of yt-dlp; what matters of them is in its errors."""

    def debug(self, message: str) -> None:
        pass

    def warning(self, message: str) -> None:
        pass

    def error(self, message: str) -> None:
        pass
