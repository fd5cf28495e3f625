"""What the pages of predictions share: scripts, names, numbers, addresses of files beside them."""

import hashlib
import json
import os
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jaxvid.files import replacing
from jaxvid.predict.events import Event
from jaxvid.report.html import Interaction

PAGE = "index.html"


def interaction(data: Any, *scripts: str, connects: bool = False) -> Interaction:
    """Returns the interaction of a page with the scripts of those names, one after another."""
    files = resources.files("jaxvid.predict.pages")
    script = "\n".join(files.joinpath(f"{name}.js").read_text(encoding="utf-8") for name in scripts)
    return Interaction(data, script, files.joinpath("style.css").read_text(encoding="utf-8"), connects)


def printable(name: str) -> str:
    """Returns a file name with a question mark for every byte that is not UTF-8."""
    return name.encode("utf-8", errors="replace").decode("utf-8")


def clock(seconds: float) -> str:
    """Formats seconds as 0:04.1, or 1:00:04.1 from an hour on, as the scripts do."""
    minutes, tenths = divmod(round(10 * seconds), 600)
    hours, minutes = divmod(minutes, 60)
    rest = f"{tenths / 10:04.1f}"
    return f"{hours}:{minutes:02d}:{rest}" if hours else f"{minutes}:{rest}"


def video_name(directory: Path, root: Path) -> str:
    """Returns a video's name in labels: its directory below the directory of the call, with slashes."""
    return printable(directory.relative_to(root).as_posix())


def address(target: Path, directory: Path) -> str:
    """Returns the address of a file relative to a page's directory."""
    relative = Path(os.path.relpath(target.absolute(), directory.absolute())).as_posix()
    return quote(os.fsencode(relative))


def labels_key(name: str, events: Sequence[Event]) -> str:
    """Returns the key under which a browser keeps the labels of a video: another one if its events are others."""
    content = json.dumps([name, [(event.class_name, event.onset, event.offset) for event in events]])
    return hashlib.sha256(content.encode()).hexdigest()[:24]


def write_page(path: Path, page: str) -> None:
    """Writes a page."""
    # A name that is not UTF-8 has characters that cannot be written.
    with replacing(path) as unfinished:
        unfinished.write_bytes(page.encode("utf-8", errors="replace"))
