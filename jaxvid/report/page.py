"""The HTML page of a report: one file with its pictures inside, which reads from a disk, in light and dark."""

import base64
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from string import Template
from typing import Any

from jaxvid.report.adaptation import BEST_HEADER, CHANGES_HEADER, Adaptation, best_cells, change_cells
from jaxvid.report.mistakes import Mistake

# Half of this either way is more than most systems that papers compare differ by.
_WIDE_INTERVAL = 0.10
_FIGURE_NAMES = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "macro_precision": "Precision, mean of the classes",
    "macro_recall": "Recall, mean of the classes",
    "macro_f1": "F1, mean of the classes",
    "roc_auc": "ROC AUC",
    "loss": "Loss (nats)",
}
# With more than two classes these are the macro figures over again.
_OF_POSITIVE_CLASS = ("precision", "recall", "f1")


@dataclass(frozen=True)
class Picture:
    """A figure as PNG files, drawn for a light and for a dark page."""

    light: bytes
    dark: bytes


def render_page(
    title: str,
    figures: Mapping[str, Any],
    details: Mapping[str, str],
    mistakes: Sequence[Mistake],
    pictures: Mapping[str, Picture],
    adaptation: Adaptation | None = None,
) -> str:
    """The page as text. Names and details are escaped; it refers to nothing outside itself.

    Args:
      title: Heading of the page.
      figures: What `metrics.classification_figures` gives.
      details: What was evaluated and where, in the order to show: name to value.
      mistakes: The worst mistakes, the worst first.
      pictures: "confusion_matrix", and "roc_curve" and "training_curves" where there is one to draw.
      adaptation: How the run's activations changed, if they were to.
    """
    sections = [
        _section("What is mistaken for what", _confusion(figures, pictures["confusion_matrix"])),
        _section("Class by class", _per_class_table(figures)),
        _section("Worst mistakes", _mistake_list(figures, mistakes)),
        _section("How well the probabilities rank", _roc(figures, pictures.get("roc_curve"))),
        _section("Training", _training(pictures.get("training_curves"))),
        *([_section("Changes of activations", _changes(adaptation))] if adaptation else []),
        *([_section("Single windows", _windows(figures))] if "views" in figures else []),
        _section("All figures", _all_figures_table(figures)),
    ]
    template = Template(resources.files("jaxvid.report").joinpath("page.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=html.escape(title),
        summary="\n".join([_headline(figures), _tiles(figures), _cautions(figures), _details(details)]),
        sections="\n".join(sections),
        footer=_footer(figures),
    )


def _section(heading: str, content: str) -> str:
    return f"<section>\n<h2>{heading}</h2>\n{content}\n</section>"


def _headline(figures: Mapping[str, Any]) -> str:
    accuracy, num_clips, num_sources = figures["accuracy"], figures["num_clips"], figures["num_sources"]
    num_right = round(accuracy["value"] * num_clips)
    interval = _range_in_words(accuracy)
    interval = f" (95&nbsp;% interval {interval})" if interval else ""
    if num_sources == num_clips:
        origin = "Each clip counts as a video of its own."
    else:
        origin = (
            f"They were cut from {_counted(num_sources, 'source video')}, and clips of one video resemble each other."
        )
    return (
        f'<p class="headline"><strong>{_percent(accuracy["value"])}</strong> of the clips were classified right: '
        f"{num_right} of {num_clips}{interval}.</p>\n<p>{origin} {_baseline(figures)}</p>"
    )


def _baseline(figures: Mapping[str, Any]) -> str:
    commonest, share = _commonest_class(figures)
    if share == 1:
        return f"All are {_name(commonest)}."
    return f"Always answering {_name(commonest)}, the commonest class among them, would be right for {_percent(share)}."


def _commonest_class(figures: Mapping[str, Any]) -> tuple[str, float]:
    support = {name: figure["support"] for name, figure in figures["per_class"].items()}
    commonest = max(support, key=lambda name: support[name])
    return commonest, support[commonest] / figures["num_clips"]


def _tiles(figures: Mapping[str, Any]) -> str:
    keys = ["accuracy", "precision", "recall", "f1", "roc_auc"]
    tiles = [_tile(_figure_name(figures, key), figures[key]) for key in keys]
    return '<ul class="tiles">\n' + "\n".join(tiles) + "\n</ul>"


def _tile(name: str, figure: Mapping[str, Any]) -> str:
    interval = _range_in_words(figure) or "no interval"
    return (
        f'<li><div class="name">{name}</div><div class="value">{_percent(figure["value"])}</div>'
        f'<div class="interval">{interval}</div>{_track(figure)}</li>'
    )


def _track(figure: Mapping[str, Any]) -> str:
    """A bar from 0 to 100 % with the interval and the value in it; the numbers beside it say the same."""
    if figure["value"] is None:
        return ""
    parts = f'<span class="mark" style="left:{100 * figure["value"]:.1f}%"></span>'
    if figure["low"] is not None:
        left, width = 100 * figure["low"], 100 * (figure["high"] - figure["low"])
        parts = f'<span class="range" style="left:{left:.1f}%;width:{width:.1f}%"></span>{parts}'
    return f'<div class="track" aria-hidden="true">{parts}</div>'


def _figure_name(figures: Mapping[str, Any], key: str) -> str:
    positive, name = figures["positive_class"], _FIGURE_NAMES[key]
    if key not in (*_OF_POSITIVE_CLASS, "roc_auc"):
        return name
    return f"{name}, mean of the classes" if positive is None else f"{name} of {_name(positive)}"


def _cautions(figures: Mapping[str, Any]) -> str:
    accuracy = figures["accuracy"]
    commonest, share = _commonest_class(figures)
    cautions = []
    if accuracy["low"] is not None:
        width = accuracy["high"] - accuracy["low"]
        if width > _WIDE_INTERVAL:
            cautions.append(
                f"This is a small test set: the interval of the accuracy spans {100 * width:.0f} points. Another "
                "system that scores a few points more or less here need not be better or worse."
            )
        if accuracy["low"] <= share < 1:
            cautions.append(
                f"The interval reaches down to the {_percent(share)} of always answering {_name(commonest)}: this "
                "result does not show that the model tells the classes apart."
            )
    cautions += [html.escape(note) for note in figures["notes"]]
    if not cautions:
        return ""
    paragraphs = "\n".join(f"<p>{caution}</p>" for caution in cautions)
    return f'<div class="caution" role="note">\n{paragraphs}\n</div>'


def _details(details: Mapping[str, str]) -> str:
    if not details:
        return ""
    rows = [f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>" for name, value in details.items()]
    return "<dl>\n" + "\n".join(rows) + "\n</dl>"


def _confusion(figures: Mapping[str, Any], picture: Picture) -> str:
    names, positive = figures["class_names"], figures["positive_class"]
    counts = figures["confusion_matrix"]["value"]
    if positive is None:
        words = _commonest_confusion(names, counts)
    else:
        missed, found, false_alarms = counts[1][0], counts[1][1], counts[0][1]
        words = (
            f"Of {_counted(missed + found, 'clip')} of {_name(positive)}, {found} were found and {missed} missed. "
            f"Of {_counted(false_alarms + found, 'clip')} called {_name(positive)}, {false_alarms} were "
            f"{_name(names[0])}."
        )
    reading = "Rows are true classes, columns what the model said; the shade is the share of the row. "
    return _figure(picture, f"Confusion matrix. {words}", reading + words)


def _commonest_confusion(names: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    pairs = [(row, column) for row in range(len(names)) for column in range(len(names)) if row != column]
    worst = max(pairs, key=lambda pair: counts[pair[0]][pair[1]])
    count = counts[worst[0]][worst[1]]
    if count <= 1:
        return "No mistake was made twice." if count else "No clip was mistaken."
    return (
        f"The commonest mistake: {_counted(count, 'clip')} of {_name(names[worst[0]])} called {_name(names[worst[1]])}."
    )


def _roc(figures: Mapping[str, Any], picture: Picture | None) -> str:
    if picture is None:
        return "<p>There is no ROC curve: it needs clips of two classes.</p>"
    positive, area = figures["positive_class"], figures["roc_auc"]
    if positive is None:
        words = (
            "Each curve ranks the clips by the probability of one class, and shows the share of that class found "
            "against the share of the other clips taken with it. "
        )
    else:
        words = (
            f"Lowering the probability from which a clip is called {_name(positive)} finds more of them (upwards) at "
            "the price of more false alarms (to the right). "
        )
    words += "The area is 100&nbsp;% for a perfect ranking, 50&nbsp;% for guessing"
    words += "." if area["value"] is None else f", and {_in_words(area)} here."
    return _figure(picture, f"ROC curve. Area under the curve: {_in_words(area)}.", words)


def _training(picture: Picture | None) -> str:
    if picture is None:
        return "<p>The run left no training history to draw.</p>"
    words = (
        "Training figures are of augmented clips in training mode, validation figures of whole clips, so the two need "
        "not meet. A validation loss that rises while the training loss falls is overfitting."
    )
    return _figure(picture, "Training and validation loss and accuracy over the run.", words)


def _changes(adaptation: Adaptation) -> str:
    if adaptation.changes:
        words = (
            "Every change with the validation figures of the evaluation that led to it, of the next one, and of the "
            "lowest loss before the change after. The lines in the training curves are these changes."
        )
        changes = _table(CHANGES_HEADER, [_row(change_cells(change)) for change in adaptation.changes], "Changes")
    else:
        words, changes = "The activations did not change: the policy saw no occasion to.", ""
    best = _table(BEST_HEADER, [_row(best_cells(row)) for row in adaptation.best], "Best with each activation")
    return f"<p>{words}</p>\n{changes}\n<p>Best validation figures with each activation:</p>\n{best}"


def _row(cells: Sequence[str]) -> str:
    first, *others = map(html.escape, cells)
    return f'<th scope="row">{first}</th>' + "".join(f"<td>{cell}</td>" for cell in others)


def _windows(figures: Mapping[str, Any]) -> str:
    """Figures of single windows beside those of clips."""
    views = figures["views"]
    words = (
        f"A clip's probabilities are the means over its windows, {_counted(views['num_clips'], 'window')} in all; "
        "here are the figures of single windows beside those of clips."
    )
    names = ("accuracy", "balanced_accuracy", "macro_f1", "roc_auc")
    rows = [
        f'<th scope="row">{_figure_name(figures, key)}</th>{_cell(views[key])}{_cell(figures[key])}' for key in names
    ]
    confusion = [
        f'<th scope="row">{_name(name)}</th>' + "".join(f"<td>{count}</td>" for count in counts)
        for name, counts in zip(views["class_names"], views["confusion_matrix"]["value"], strict=True)
    ]
    header = ["True class", *(f"called {html.escape(name)}" for name in views["class_names"])]
    return (
        f"<p>{words}</p>\n{_table(['Figure', 'Windows', 'Clips'], rows, 'Windows and clips')}\n"
        f"<p>Confusion matrix of the windows:</p>\n{_table(header, confusion, 'Confusion matrix of windows')}"
    )


def _figure(picture: Picture, alt: str, caption: str) -> str:
    # A PNG file has its width in bytes 16 to 19; shown at two thirds of its pixels it is sharp on dense screens too.
    width = int.from_bytes(picture.light[16:20], "big") * 2 // 3
    return (
        f'<figure>\n<picture><source media="(prefers-color-scheme: dark)" srcset="{_data_uri("png", picture.dark)}">'
        f'<img src="{_data_uri("png", picture.light)}" width="{width}" alt="{_plain(alt)}"></picture>\n'
        f"<figcaption>{caption}</figcaption>\n</figure>"
    )


def _per_class_table(figures: Mapping[str, Any]) -> str:
    header = ["Class", "Clips", "Precision", "Recall", "F1", "ROC AUC"]
    rows = []
    for name, figure in figures["per_class"].items():
        cells = [_cell(figure[key]) for key in ("precision", "recall", "f1", "auc")]
        rows.append(f'<th scope="row">{_name(name)}</th><td>{figure["support"]}</td>{"".join(cells)}')
    words = (
        "Precision: of the clips given this class, the share that are of it. Recall: of the clips of this class, the "
        "share found. F1: their harmonic mean. ROC AUC: how well this class's probability ranks the clips."
    )
    return f"<p>{words}</p>\n{_table(header, rows, 'Figures of every class')}"


def _all_figures_table(figures: Mapping[str, Any]) -> str:
    keys = [key for key in _FIGURE_NAMES if figures["positive_class"] is not None or key not in _OF_POSITIVE_CLASS]
    rows = []
    for key in keys:
        name, figure = _figure_name(figures, key), figures[key]
        shown = _number if key == "loss" else _percent
        cells = "".join(f"<td>{shown(figure[part])}</td>" for part in ("value", "low", "high"))
        rows.append(f'<th scope="row">{name}</th>{cells}')
    return _table(["Figure", "Value", "From", "To"], rows, "Overall figures with 95 % intervals")


def _table(header: Sequence[str], rows: Sequence[str], label: str) -> str:
    columns = "".join(f'<th scope="col">{name}</th>' for name in header)
    body = "\n".join(f"<tr>{row}</tr>" for row in rows)
    return (
        f'<div class="scroll" role="region" aria-label="{label}" tabindex="0">\n'
        f"<table>\n<thead><tr>{columns}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</div>"
    )


def _cell(figure: Mapping[str, Any]) -> str:
    interval = _range_in_words(figure)
    interval = f'<span class="interval">{interval}</span>' if interval else ""
    return f"<td>{_percent(figure['value'])}{interval}</td>"


def _mistake_list(figures: Mapping[str, Any], mistakes: Sequence[Mistake]) -> str:
    if not mistakes:
        return "<p>Every clip was classified right.</p>"
    counts = figures["confusion_matrix"]["value"]
    num_wrong = figures["num_clips"] - sum(counts[index][index] for index in range(len(counts)))
    shown = "" if len(mistakes) == num_wrong else f"; these are the {len(mistakes)} it was most sure of"
    words = f"The model was wrong about {_counted(num_wrong, 'clip')}{shown}."
    items = "\n".join(_mistake_item(mistake) for mistake in mistakes)
    return f'<p>{words} Frames run from left to right.</p>\n<ol class="mistakes">\n{items}\n</ol>'


def _mistake_item(mistake: Mistake) -> str:
    clip, label, predicted = _name(mistake.clip), _name(mistake.label), _name(mistake.predicted)
    source = "" if mistake.source == mistake.clip else f', from <bdi class="muted">{html.escape(mistake.source)}</bdi>'
    alt = f"{_counted(mistake.num_frames, 'frame')} of {html.escape(mistake.clip)} in order of time"
    # As wide as the page where there are frames enough, never blurred, and on a phone rather scrolled than tiny.
    width = mistake.strip.shape[1]
    style = f"max-width:{width}px;min-width:{min(width, 560)}px"
    return (
        f'<li><p><span class="clip">{clip}</span>{source}<br>'
        f"is {label}, called {predicted} with probability {_percent(mistake.probability)} "
        f'<span class="muted">({label} {_percent(mistake.label_probability)})</span></p>\n'
        f'<div class="scroll" role="region" aria-label="{alt}" tabindex="0">'
        f'<img src="{_data_uri("jpeg", mistake.jpeg())}" style="{style}" alt="{alt}"></div></li>'
    )


def _footer(figures: Mapping[str, Any]) -> str:
    bootstrap = figures["bootstrap"]
    return (
        f"Intervals are 95&nbsp;% percentile intervals of {bootstrap['num_resamples']} bootstrap resamples of the "
        f"source videos (seed {bootstrap['seed']}). They say how far chance in the choice of test videos reaches, not "
        "how the model does on videos of another kind. A figure without an interval is undefined in most resamples or "
        "the same in all. Written by jaxvid."
    )


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _name(text: str) -> str:
    # Isolated, so that a name written from right to left does not turn the sentence round.
    return f"<bdi>{html.escape(text)}</bdi>"


def _plain(text: str) -> str:
    """Text with names in it for an attribute, where elements would be read out."""
    return text.replace("<bdi>", "").replace("</bdi>", "")


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _percent(value: float | None) -> str:
    return "undefined" if value is None else f"{100 * value:.1f}&nbsp;%"


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"


def _range_in_words(figure: Mapping[str, Any]) -> str:
    # What does not vary between resamples has an interval of no width, which would read as certainty.
    if figure["low"] is None or figure["low"] == figure["high"]:
        return ""
    return f"{100 * figure['low']:.1f}&nbsp;to&nbsp;{_percent(figure['high'])}"


def _in_words(figure: Mapping[str, Any]) -> str:
    interval = _range_in_words(figure)
    return f"{_percent(figure['value'])} ({interval})" if interval else _percent(figure["value"])
