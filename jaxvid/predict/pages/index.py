"""The page over all videos of a call: a table of the videos, and one of their events."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxvid.predict.files import VideoResult, listed_problems
from jaxvid.predict.pages.interaction import PAGE, address, interaction, labels_key, video_name, write_page
from jaxvid.report.html import counted, paragraph, render, section


def write_index(results: Sequence[VideoResult], root: Path, classes: Sequence[str]) -> Path:
    """Writes the page over the videos of a call; returns its path.

    Args:
      results: of the videos; the pages of those that were read are written already.
      root: directory of the call.
      classes: classes whose events are detected.
    """
    data = {"classes": list(classes), "videos": [_video(result, root, classes) for result in results]}
    sections = [
        section("Videos", '<div id="videos"></div>'),
        section("Events", '<div id="events"></div>'),
        section("Labels", _LABELS),
    ]
    root.mkdir(parents=True, exist_ok=True)
    page = render(
        "jaxvid: predictions", _summary(results), sections, "Written by jaxvid.", interaction(data, *_SCRIPTS)
    )
    write_page(root / PAGE, page)
    return root / PAGE


_SCRIPTS = ("table", "labels", "index")
_LABELS = (
    paragraph(
        "Open a video to confirm or reject its events. Here are the labels of all videos that this browser keeps, for "
        "<code>python -m jaxvid.evaluate --labels=FILE.csv --predictions=DIR</code>, where DIR is the directory of "
        "this page. (Some browsers keep the labels of a page for that page alone: then download them there.)"
    )
    + '\n<p><button type="button" data-action="download">Download labels as CSV</button></p>\n'
    '<p id="status" role="status"></p>'
)


def _summary(results: Sequence[VideoResult]) -> str:
    read = [result for result in results if result.timeline is not None]
    hours = sum(float(result.timeline.ends[-1]) for result in read if result.timeline is not None) / 3600
    num_events = sum(len(result.events) for result in read)
    unread = len(results) - len(read)
    words = f"<strong>{counted(num_events, 'event')}</strong> in {counted(len(read), 'video')}, {_duration(hours)}"
    failed = f" {counted(unread, 'file')} could not be read." if unread else ""
    return f'<p class="headline">{words}.</p>\n<p>A row opens the page of its video.{failed}</p>'


def _duration(hours: float) -> str:
    return f"{hours:.1f} hours" if hours >= 1 else f"{60 * hours:.1f} minutes"


def _video(result: VideoResult, root: Path, classes: Sequence[str]) -> dict[str, Any]:
    name = video_name(result.output, root)
    row = {"name": name, "key": labels_key(name, result.events), "events": []}
    timeline = result.timeline
    if timeline is None:
        return row | {"href": None, "seconds": None, "highest": None, "problems": f"not read: {result.reason}"}
    return row | {
        "href": address(result.output / PAGE, root),
        "seconds": round(float(timeline.ends[-1] - timeline.starts[0]), 3),
        "highest": round(float(np.max([timeline.of_class(class_name) for class_name in classes])), 4),
        "problems": listed_problems(result.problems),
        "events": [
            [event.onset, event.offset, classes.index(event.class_name), event.probability] for event in result.events
        ],
    }
