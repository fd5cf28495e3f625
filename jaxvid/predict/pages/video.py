"""The page of a video: a player, the probabilities under it, the events, and what a person says of them."""

import dataclasses
import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxvid.predict.events import Event, Timeline, find_segments
from jaxvid.predict.files import PredictOptions, VideoResult
from jaxvid.predict.pages.interaction import (
    PAGE,
    address,
    clock,
    interaction,
    labels_key,
    printable,
    video_name,
    write_page,
)
from jaxvid.report.html import bdi, cautions_element, counted, paragraph, render, section
from jaxvid.video.damage import Damage

# More curves than these cannot be told apart.
_MAX_CURVES = 8
_MAX_LISTED = 5


def write_video_page(result: VideoResult, root: Path, classes: Sequence[str], options: PredictOptions) -> None:
    """Writes the page of a video that was read into its directory.

    Args:
      result: of the video; its files are written already.
      root: directory of the call, with the page over all videos.
      classes: classes whose events are detected.
      options: how the video was predicted.
    """
    timeline = result.timeline
    if timeline is None:
        raise ValueError(f"{result.path} was not read: {result.reason}")
    name = video_name(result.output, root)
    sources = _sources(result, options)
    data = _data(result, timeline, classes, options) | {"name": name, "key": labels_key(name, result.events)}
    sections = [
        section("Probability and events", _player(sources, result) + _curve(timeline, data["classes"]) + _TOOLBAR),
        section("Events", _events(classes)),
        *([section("Segments", '<div id="segments"></div>')] if data["segments"] else []),
        *([section("Where the network looks", _EXPLANATION)] if options.explain else []),
    ]
    page = render(
        printable(result.path.name),
        _summary(result, timeline, root, options),
        sections,
        "Written by jaxvid.",
        interaction(data, "table", "labels", "curve", "video"),
    )
    write_page(result.output / PAGE, page)


def _sources(result: VideoResult, options: PredictOptions) -> dict[str, str]:
    """The files that may be played, by what they are, with their addresses; the one that surely plays first.

    A video as it was recorded is none of them where faces are blurred, or where it is removed after the call.
    """
    annotated = result.output / "annotated.mp4"
    found = {"with the probabilities drawn in": "annotated.mp4"} if options.annotate and annotated.exists() else {}
    return (
        found if options.blur_faces or result.address else found | {"as recorded": address(result.path, result.output)}
    )


def _data(result: VideoResult, timeline: Timeline, classes: Sequence[str], options: PredictOptions) -> dict[str, Any]:
    drawn = _drawn_classes(timeline, classes)
    series = {class_name: number for number, class_name in enumerate(drawn)}
    segments = find_segments(timeline) if len(timeline.class_names) > 2 else []
    return {
        "edges": np.round(timeline.edges, 3).tolist(),
        "classes": drawn,
        "curves": [np.round(timeline.of_class(class_name), 4).tolist() for class_name in drawn],
        "thresholds": [options.thresholds.on, options.thresholds.off],
        "events": [_event(event, series) for event in result.events],
        "segments": [dataclasses.asdict(segment) | {"series": series.get(segment.class_name)} for segment in segments],
        "flaws": [{"begin": flaw.begin, "end": flaw.end} for flaw in sorted(result.problems.flaws)],
    }


def _event(event: Event, series: dict[str, int]) -> dict[str, Any]:
    return dataclasses.asdict(event) | {"series": series.get(event.class_name)}


def _drawn_classes(timeline: Timeline, classes: Sequence[str]) -> list[str]:
    """The classes whose curves are drawn: of many, those of the highest probabilities."""
    names = list(dict.fromkeys([*timeline.drawn_classes, *classes]))
    if len(names) <= _MAX_CURVES:
        return names
    highest = {name: float(timeline.of_class(name).max()) for name in names}
    kept = sorted(names, key=lambda name: -highest[name])[:_MAX_CURVES]
    return [name for name in names if name in kept]


def _summary(result: VideoResult, timeline: Timeline, root: Path, options: PredictOptions) -> str:
    highest = max(result.events, key=lambda event: event.probability, default=None)
    words = f"<strong>{counted(len(result.events), 'event')}</strong>"
    if highest is not None:
        words += (
            f", the most probable one of {bdi(highest.class_name)} with {100 * highest.probability:.1f}&nbsp;% at "
            f"{clock(highest.peak)}"
        )
    files = ["timeline.csv", "events.json", *(["timeline.png"] if options.plot else [])]
    thresholds = options.thresholds
    details = {
        "Video": bdi(printable(result.video)),
        "Length": f"{clock(float(timeline.ends[-1] - timeline.starts[0]))}, {counted(len(timeline.starts), 'window')}",
        "Events": f"begin at {100 * thresholds.on:g} % and end below {100 * thresholds.off:g} %",
        "Files": ", ".join(f'<a href="{name}">{name}</a>' for name in files),
    }
    rows = "\n".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in details.items())
    flaws = sorted(result.problems.flaws)
    cautions = [html.escape(str(Damage([flaw]))) for flaw in flaws[:_MAX_LISTED]]
    more = [f"{len(flaws) - len(cautions)} more in problems.json"] if len(flaws) > len(cautions) else []
    return (
        f'<p><a href="{address(root / PAGE, result.output)}">All videos</a></p>\n<p class="headline">{words}.</p>\n'
        f"<dl>\n{rows}\n</dl>\n" + cautions_element([*cautions, *more])
    )


def _player(sources: dict[str, str], result: VideoResult) -> str:
    if not sources and result.address:
        return (
            '<p class="muted">The video was downloaded and is not kept; <code>--keep_downloads=DIR</code> keeps it, '
            "and <code>--annotate</code> writes a copy.</p>\n"
        )
    if not sources:
        return (
            '<p class="muted">Faces are blurred here, and the video as it was recorded is not shown; '
            "<code>--annotate</code> writes a copy with blurred faces.</p>\n"
        )
    first, *_ = sources.values()
    options = "".join(f'<option value="{html.escape(href)}">{name}</option>' for name, href in sources.items())
    choice = f'<div class="bar"><label>Show it <select id="source">{options}</select></label></div>\n'
    return (
        f'<video src="{html.escape(first)}" controls preload="metadata"></video>\n'
        '<p id="not-played" class="muted" hidden>This browser cannot play this file. The curve and the events are '
        "here all the same; <code>--annotate</code> writes a copy that browsers play.</p>\n"
        f"{choice if len(sources) > 1 else ''}"
    )


def legend(names: Sequence[str], note: str = "") -> str:
    """Makes the legend of curves in the order of their colors, with a note behind it."""
    items = "".join(
        f'<li><i style="background:var(--series-{number % _MAX_CURVES})"></i>{bdi(name)}</li>'
        for number, name in enumerate(names)
    )
    note = f'<li class="muted">{note}</li>' if note else ""
    return f'<ul class="legend">{items}{note}</ul>\n'


def _curve(timeline: Timeline, drawn: Sequence[str]) -> str:
    left_out = len(timeline.drawn_classes) - len(drawn)
    note = f"{counted(left_out, 'class')} of lower probability not drawn" if left_out > 0 else ""
    return (
        f'<div id="curve" role="slider" tabindex="0" aria-label="Moment of the video" '
        f'aria-valuemin="{timeline.edges[0]:.1f}" aria-valuemax="{timeline.edges[-1]:.1f}"></div>\n'
        f"{legend(drawn, note)}"
    )


def _button(action: str, text: str, key: str = "") -> str:
    shortcut = f" <kbd>{key}</kbd>" if key else ""
    return f'<button type="button" data-action="{action}">{text}{shortcut}</button>'


_TOOLBAR = f"""<p id="now" class="muted wide"></p>
<div class="bar">
{_button("previous", "Previous event", "p")}
{_button("next", "Next event", "n")}
{_button("confirm", "Confirm", "c")}
{_button("reject", "Reject", "r")}
<span class="end">Zoom {_button("zoom-out", "out", "-")} {_button("zoom-in", "in", "+")}
{_button("whole", "whole", "0")}</span>
</div>
<p id="status" role="status"></p>
"""
_EXPLANATION = (
    '<div class="scroll" role="region" aria-label="Heat maps" tabindex="0"><img src="explanation.png" '
    'alt="Frames of the most probable window, and where Grad-CAM finds the class in them"></div>'
)


def _events(classes: Sequence[str]) -> str:
    options = "".join(f"<option>{html.escape(name)}</option>" for name in classes)
    return (
        paragraph(
            "Confirm the events that are right and reject the others. An event that the network missed is marked "
            "where it begins and where it ends. This browser keeps the labels; <code>python -m jaxvid.evaluate "
            "--labels=FILE.csv --predictions=DIR</code> takes the downloaded file, where DIR is the directory with the "
            "page of all videos."
        )
        + f"""
<div class="bar">
{_button("missed-from", "Missed event begins here", "[")}
{_button("missed-to", "ends here", "]")}
<label>Class <select id="missed-class">{options}</select></label>
<label><input type="checkbox" id="watched"> Watched in full</label>
<span class="end">{_button("download", "Download labels as CSV")}</span>
</div>
<p id="reviewed"></p>
<p id="not-kept" class="caution" hidden>This browser does not keep labels here: download them before you leave.</p>
<div id="events"></div>"""
    )
