"""The page about data before training: one file with its images inside, for light and dark screens."""

import dataclasses
import datetime
import html
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from jaxvid.data.differences import describe_differences
from jaxvid.data.show.facts import (
    Facts,
    count_clips,
    count_distinct,
    length_histogram,
    sources_in_several_splits,
)
from jaxvid.data.show.shown import MAX_SAMPLES, Sample, ShownData
from jaxvid.files import replacing
from jaxvid.report.data.charts import histogram
from jaxvid.report.data.network import heard, seen
from jaxvid.report.html import (
    bdi,
    cautions_element,
    counted,
    data_uri,
    paragraph,
    render,
    section,
    table,
)
from jaxvid.report.strips import jpeg, side_by_side

# Name of the page in a workdir and in the report of an evaluation.
DATA_PAGE = "data.html"
_STRIP_HEIGHT = 128
_MAX_LISTED = 10
_MAX_VALUES = 8
# Classes that a table of formats has columns for.
_MAX_COLUMNS = 5
# Classes with so many samples have a heading of their own.
_FEWEST_UNDER_HEADING = 3


def write_data_page(path: Path, data: ShownData, command: str = "") -> None:
    """Writes the page; its directory is created if missing. The page repeats the `command`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    details = {**data.details, **({"Command": command} if command else {}), "Date": datetime.date.today().isoformat()}
    data = dataclasses.replace(data, details=details)
    with replacing(path) as unfinished:
        # A name that is not UTF-8 has characters that cannot be written.
        unfinished.write_bytes(render_data_page(data).encode("utf-8", errors="replace"))


def render_data_page(data: ShownData) -> str:
    """Renders the page as text. Names are escaped; the page refers to nothing outside itself."""
    facts = data.facts
    parts = {
        "Samples": _samples(data),
        "Classes and splits": _counts(facts),
        "Sources": _sources(facts),
        "Copies": _copies(data),
        "Lengths": _lengths(facts),
        "Files": _formats(data),
        **({"Files that cannot be read": _problems(data.problems)} if data.problems else {}),
        "What the network sees": _inputs(data),
    }
    if data.config is not None and data.config.audio.sample_rate and data.inputs:
        parts["What the network hears"] = heard(data.inputs, data.config, facts.class_names)
    links = [f'<li><a href="#{_anchor(name)}">{name}</a></li>' for name in parts]
    contents = f'<nav aria-label="Contents"><ul class="contents">{"".join(links)}</ul></nav>'
    sections = [
        section(name, content).replace("<section>", f'<section id="{_anchor(name)}">', 1)
        for name, content in parts.items()
    ]
    summary = "\n".join([_headline(facts), _tiles(facts), cautions_element(_cautions(data)), _details(data), contents])
    style = resources.files("jaxvid.report.data").joinpath("style.css").read_text(encoding="utf-8")
    return render(f"Data: {data.name}", summary, sections, "Written by jaxvid.", style=style)


def _anchor(name: str) -> str:
    return name.lower().replace(" ", "-")


def _headline(facts: Facts) -> str:
    num_classes = len(facts.class_names)
    words = f"<strong>{len(facts):,}</strong> clips of {num_classes} {'class' if num_classes == 1 else 'classes'}"
    return f'<p class="headline">{words}.</p>'


def _tiles(facts: Facts) -> str:
    seconds = facts.column("seconds")
    fps = facts.column("fps")
    distinct = facts.clips.group_by([]).aggregate([("source", "count_distinct"), ("video", "count_distinct")])
    num_videos = distinct["video_count_distinct"][0].as_py()
    tiles = {
        "Source videos": f"{distinct['source_count_distinct'][0].as_py():,}",
        **({"Video files": f"{num_videos:,}"} if num_videos != len(facts) else {}),
        "Total length": _duration(float(np.nansum(seconds))),
        "Median length": _median(seconds, "s"),
        "Median frame rate": _median(fps, "fps"),
    }
    items = "".join(
        f'<li><div class="name">{name}</div><div class="value">{value}</div></li>' for name, value in tiles.items()
    )
    return f'<ul class="tiles">{items}</ul>'


def _median(values: np.ndarray, unit: str) -> str:
    known = values[np.isfinite(values)]
    return f"{np.median(known):.3g}&nbsp;{unit}" if len(known) else "not known"


def _duration(seconds: float) -> str:
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f}&nbsp;{unit}"
    return f"{seconds:.0f}&nbsp;s"


def _details(data: ShownData) -> str:
    rows = "\n".join(
        f"<dt>{html.escape(name)}</dt><dd>{'<br>'.join(map(bdi, value.splitlines()))}</dd>"
        for name, value in data.details.items()
    )
    return f"<dl>\n{rows}\n</dl>"


def _cautions(data: ShownData) -> list[str]:
    """What makes metrics mislead."""
    facts = data.facts
    cautions = []
    if shared := sources_in_several_splits(facts):
        cautions.append(
            f"{counted(len(shared), 'source video')} with clips in more than one split, such as {bdi(shared[0][0])}: "
            "metrics are too good for a network that has seen them in training."
        )
    apart = [group for group in facts.copies if _lie_apart(facts, group)]
    if apart:
        cautions.append(f"{counted(len(apart), 'group')} of copies lie in different classes or splits (see Copies).")
    counts = count_clips(facts)
    missing = [
        f"{bdi(facts.class_names[label])} in {bdi(facts.split_names[split])}"
        for label, split in np.argwhere(counts == 0).tolist()
    ]
    if missing:
        more = f", and {len(missing) - _MAX_LISTED} more" if len(missing) > _MAX_LISTED else ""
        cautions.append(f"There is no clip of {', '.join(missing[:_MAX_LISTED])}{more}.")
    if data.problems:
        several = f"{len(data.problems)} files or folders"
        cautions.append(f"{'One file or folder' if len(data.problems) == 1 else several} cannot be read (see below).")
    if differences := describe_differences(data.differences):
        cautions.append(html.escape(differences))
    return cautions


def _samples(data: ShownData) -> str:
    facts = data.facts
    words = "Frames at a sixth, a half and five sixths of a clip; the clips were drawn at random, of different sources."
    if len(facts.class_names) > MAX_SAMPLES:
        words += f" These are clips of the first {MAX_SAMPLES} of {len(facts.class_names)} classes."
    by_class: dict[int, list[tuple[dict[str, Any], Sample]]] = {}
    for sample in data.samples:
        row = facts.row(sample.row)
        by_class.setdefault(row["label"], []).append((row, sample))
    if max(map(len, by_class.values()), default=0) < _FEWEST_UNDER_HEADING:
        figures = [_figure(facts, *item, named=True) for items in by_class.values() for item in items]
        return paragraph(words) + f'\n<div class="samples">\n{"".join(figures)}\n</div>'
    blocks = [
        f'<h3>{bdi(facts.class_names[label])}</h3>\n<div class="samples">\n'
        + "".join(_figure(facts, *item, named=False) for item in items)
        + "\n</div>"
        for label, items in by_class.items()
    ]
    return paragraph(words) + "\n" + "\n".join(blocks)


def _figure(facts: Facts, row: dict[str, Any], sample: Sample, *, named: bool) -> str:
    strip = side_by_side(sample.frames, min(_STRIP_HEIGHT, sample.frames.shape[1]))
    name = facts.class_names[row["label"]]
    video = Path(row["video"])
    is_own = row["source"] in (row["video"], video.with_suffix("").as_posix(), video.stem)
    facts_of_clip = [
        facts.split_names[row["split"]] if len(facts.split_names) > 1 else "",
        _of_unit(row["seconds"], "s"),
        _of_unit(row["fps"], "fps"),
        "" if is_own else f"from {row['source']}",
    ]
    caption = f"{f'<b>{bdi(name)}</b> ' if named else ''}{bdi(row['clip'])}<br>"
    caption += " · ".join(bdi(text) for text in facts_of_clip if text)
    alt = html.escape(f"Three frames of {row['clip']}, of the class {name}")
    return (
        f'<figure><img src="{data_uri("jpeg", jpeg(strip))}" alt="{alt}" loading="lazy">'
        f"<figcaption>{caption}</figcaption></figure>\n"
    )


def _of_unit(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:.3g} {unit}"


def _share_cell(count: int, total: int) -> str:
    """Makes a cell with a number and its share, which shades it."""
    share = 100 * count / max(total, 1)
    return (
        f'<td class="share" style="--share:{share:.1f}%">{count:,} <span class="muted">{share:.0f}&nbsp;%</span></td>'
    )


def _counts(facts: Facts) -> str:
    counts = count_clips(facts)
    # One split is all there is.
    columns = [*facts.split_names, "All"] if len(facts.split_names) > 1 else ["All"]
    shown = np.concatenate([counts, counts.sum(axis=1, keepdims=True)], axis=1)[:, -len(columns) :]
    totals = shown.sum(axis=0).tolist()
    rows = []
    for name, of_class in zip(facts.class_names, shown.tolist(), strict=True):
        cells = "".join(_share_cell(count, total) for count, total in zip(of_class, totals, strict=True))
        rows.append(f'<th scope="row">{bdi(name)}</th>{cells}')
    rows.append('<th scope="row">All</th>' + "".join(f"<td>{total:,}</td>" for total in totals))
    largest = int(shown[:, -1].argmax())
    words = (
        f"Clips, and their share of the split. Always predicting {bdi(facts.class_names[largest])}, the most frequent "
        f"class, would be correct for {100 * shown[largest, -1] / max(totals[-1], 1):.1f}&nbsp;% of all."
    )
    return paragraph(words) + "\n" + table(["Class", *map(bdi, columns)], rows, "Clips by class and split")


def _sources(facts: Facts) -> str:
    """How many sources there are, and which of them are in several splits."""
    num_clips = count_clips(facts).sum(axis=0)
    sources, videos = count_distinct(facts, "source"), count_distinct(facts, "video")
    rows = [
        f'<th scope="row">{bdi(name)}</th><td>{clips:,}</td><td>{of_videos:,}</td><td>{of_sources:,}</td>'
        for name, clips, of_videos, of_sources in zip(facts.split_names, num_clips, videos, sources, strict=True)
    ]
    numbers = table(["Split", "Clips", "Video files", "Source videos"], rows, "Clips and sources by split")
    words = "A source is the recording that clips were cut from: its clips resemble each other."
    if (sources == videos).all():
        words += " Here every video file is a source of its own."
    shared = sources_in_several_splits(facts)
    if len(facts.split_names) == 1:
        verdict = "There is one split."
    elif not shared:
        verdict = "No source has clips in two splits."
    else:
        verdict = f"{counted(len(shared), 'source')} with clips in more than one split:"
    listed = [f'<th scope="row">{bdi(name)}</th><td>{bdi(", ".join(of))}</td>' for name, of in shared[:_MAX_LISTED]]
    shown = table(["Source", "Splits"], listed, "Sources in several splits") if listed else ""
    return f"{paragraph(words)}\n{numbers}\n{paragraph(verdict)}\n{shown}{_more(len(shared))}"


def _more(count: int) -> str:
    return paragraph(f"And {count - _MAX_LISTED:,} more.") if count > _MAX_LISTED else ""


def _lie_apart(facts: Facts, group: Sequence[int]) -> str:
    """Returns "classes", "splits" or both if clips lie in several; "" if they do not."""
    rows = facts.clips.take(list(group))
    apart = [what for what, column in (("classes", "label"), ("splits", "split")) if len(rows[column].unique()) > 1]
    return " and ".join(apart)


_NOT_COMPARED = (
    "Clips that look alike, though they are no copies, were not looked for: that takes decoding all of them. "
    "<code>python -m jaxvid.data.check DIR</code> does it for a folder of videos."
)


def _copies(data: ShownData) -> str:
    facts = data.facts
    described = [(_lie_apart(facts, group), group) for group in facts.copies]
    described.sort(key=lambda item: not item[0])
    rows = []
    for apart, group in described[:_MAX_LISTED]:
        names = [facts.row(row)["clip"] for row in group[:_MAX_LISTED]] + ["…"] * (len(group) > _MAX_LISTED)
        where = f"different {apart}" if apart else "one class, one split"
        rows.append(f'<th scope="row">{"<br>= ".join(map(bdi, names))}</th><td>{where}</td>')
    words = "No clip is a copy of another." if not rows else "Clips with the same content:"
    shown = f'<div class="texts">{table(["Clips", "Where"], rows, "Copies")}</div>' if rows else ""
    if data.alike is None:
        alike = [paragraph(_NOT_COMPARED)]
    else:
        alike = [paragraph(f"{html.escape(sentence)}.") for sentence in data.alike or ["No two clips look alike"]]
    return "\n".join([paragraph(words), shown, _more(len(described)), *alike])


def _lengths(facts: Facts) -> str:
    seconds, labels = facts.column("seconds"), facts.column("label")
    rows = []
    for label, name in enumerate(facts.class_names):
        of_class = seconds[(labels == label) & np.isfinite(seconds)]
        values = [of_class.min(), np.median(of_class), of_class.max()] if len(of_class) else [None] * 3
        cells = "".join(f"<td>{'' if value is None else f'{value:.3g}&nbsp;s'}</td>" for value in values)
        rows.append(f'<th scope="row">{bdi(name)}</th>{cells}')
    numbers = table(["Class", "Shortest", "Median", "Longest"], rows, "Lengths by class")
    drawn = length_histogram(facts)
    if drawn is None:
        return numbers
    words = "Each row shows which share of a class has which length."
    if drawn.num_above:
        words += f" The last bar holds {counted(drawn.num_above, 'longer clip')} too."
    return f"{paragraph(words)}\n{histogram(drawn, facts.class_names)}\n{numbers}"


def _formats(data: ShownData) -> str:
    facts = data.facts
    if not facts.formats:
        return paragraph(
            "The dataset was built without notes on its files: sizes, frame rates and sound are not known."
        )
    names = facts.class_names if 1 < len(facts.class_names) <= _MAX_COLUMNS else []
    words = (
        "What the headers of all video files say, before they were decoded. A network can learn what differs here "
        "between the classes instead of what happens."
    )
    same = [
        f"<dt>{label}</dt><dd>all {html.escape(_value(label, *of_value))}</dd>"
        for label, of_value in facts.formats.items()
        if len(of_value) == 1
    ]
    tables = [_format_table(label, of, names) for label, of in facts.formats.items() if len(of) > 1]
    return "\n".join([paragraph(words), f"<dl>{''.join(same)}</dl>" if same else "", *tables])


def _value(label: str, value: str) -> str:
    return f"{value} fps" if label == "Frame rate" else value


def _format_table(label: str, of_value: dict[str, dict[str, int]], names: Sequence[str]) -> str:
    totals = {name: sum(counts.get(name, 0) for counts in of_value.values()) for name in names}
    whole = sum(sum(counts.values()) for counts in of_value.values())
    rows = []
    # One value more takes no more room than the line that counts it.
    limit = _MAX_VALUES if len(of_value) > _MAX_VALUES + 1 else len(of_value)
    for value, counts in list(of_value.items())[:limit]:
        cells = "".join(_share_cell(counts.get(name, 0), totals[name]) for name in names)
        rows.append(
            f'<th scope="row">{html.escape(_value(label, value))}</th>{cells}{_share_cell(sum(counts.values()), whole)}'
        )
    if others := list(of_value.values())[limit:]:
        cells = "".join(_share_cell(sum(counts.get(name, 0) for counts in others), totals[name]) for name in names)
        rest = sum(sum(counts.values()) for counts in others)
        rows.append(f'<th scope="row">{len(others)} others</th>{cells}{_share_cell(rest, whole)}')
    return table([label, *map(bdi, names), "All"], rows, label)


def _problems(problems: Sequence[tuple[str, str]]) -> str:
    rows = [
        f'<th scope="row">{bdi(name)}</th><td>{html.escape(reason)}</td>' for name, reason in problems[:_MAX_LISTED]
    ]
    listing = table(["File or folder", "Reason"], rows, "Files that cannot be read")
    return f'<div class="texts">{listing}</div>{_more(len(problems))}'


def _inputs(data: ShownData) -> str:
    if data.config is None:
        return paragraph(
            "With <code>--config=configs/NAME.py</code>, this page shows clips as that config's network gets them, in "
            "evaluation and in training."
        )
    if not data.inputs:
        return paragraph("There is no clip to train on that could be shown.")
    return seen(data.inputs, data.config, data.facts.class_names)
