"""The HTML page of a report: one file with its pictures inside, which reads from a disk, in light and dark."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

from jaxvid.report.activations import BEST_HEADER, CHANGES_HEADER, Adaptation, best_cells, change_cells
from jaxvid.report.html import (
    Picture,
    bdi,
    counted,
    data_uri,
    figure_cell,
    figure_element,
    in_words,
    number,
    percent,
    range_in_words,
    render,
    row_cells,
    section,
    table,
)
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
      figures: What `metrics.classification_metrics` gives.
      details: What was evaluated and where, in the order to show: name to value.
      mistakes: The worst mistakes, the worst first.
      pictures: "confusion_matrix", and "roc_curve" and "training_curves" where there is one to draw.
      adaptation: How the run's activations changed, if they were to.
    """
    sections = [
        section("What is mistaken for what", _confusion(figures, pictures["confusion_matrix"])),
        section("Class by class", _per_class_table(figures)),
        section("Worst mistakes", _mistake_list(figures, mistakes)),
        section("How well the probabilities rank", _roc(figures, pictures.get("roc_curve"))),
        section("Training", _training(pictures.get("training_curves"))),
        *([section("Changes of activations", _changes(adaptation))] if adaptation else []),
        *([section("Single windows", _windows(figures))] if "views" in figures else []),
        section("All figures", _all_figures_table(figures)),
    ]
    summary = "\n".join([_headline(figures), _tiles(figures), _cautions(figures), _details(details)])
    return render(title, summary, sections, _footer(figures))


def _headline(figures: Mapping[str, Any]) -> str:
    accuracy, num_clips, num_sources = figures["accuracy"], figures["num_clips"], figures["num_sources"]
    num_right = round(accuracy["value"] * num_clips)
    interval = range_in_words(accuracy)
    interval = f" (95&nbsp;% interval {interval})" if interval else ""
    if num_sources == num_clips:
        origin = "Each clip counts as a video of its own."
    else:
        origin = (
            f"They were cut from {counted(num_sources, 'source video')}, and clips of one video resemble each other."
        )
    return (
        f'<p class="headline"><strong>{percent(accuracy["value"])}</strong> of the clips were classified right: '
        f"{num_right} of {num_clips}{interval}.</p>\n<p>{origin} {_baseline(figures)}</p>"
    )


def _baseline(figures: Mapping[str, Any]) -> str:
    commonest, share = _commonest_class(figures)
    if share == 1:
        return f"All are {bdi(commonest)}."
    return f"Always answering {bdi(commonest)}, the commonest class among them, would be right for {percent(share)}."


def _commonest_class(figures: Mapping[str, Any]) -> tuple[str, float]:
    support = {name: figure["support"] for name, figure in figures["per_class"].items()}
    commonest = max(support, key=lambda name: support[name])
    return commonest, support[commonest] / figures["num_clips"]


def _tiles(figures: Mapping[str, Any]) -> str:
    keys = ["accuracy", "precision", "recall", "f1", "roc_auc"]
    tiles = [_tile(_figure_name(figures, key), figures[key]) for key in keys]
    return '<ul class="tiles">\n' + "\n".join(tiles) + "\n</ul>"


def _tile(name: str, figure: Mapping[str, Any]) -> str:
    interval = range_in_words(figure) or "no interval"
    return (
        f'<li><div class="name">{name}</div><div class="value">{percent(figure["value"])}</div>'
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
    return f"{name}, mean of the classes" if positive is None else f"{name} of {bdi(positive)}"


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
                f"The interval reaches down to the {percent(share)} of always answering {bdi(commonest)}: this "
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
        index = names.index(positive)
        negative = 1 - index
        missed, found, false_alarms = counts[index][negative], counts[index][index], counts[negative][index]
        words = (
            f"Of {counted(missed + found, 'clip')} of {bdi(positive)}, {found} were found and {missed} missed. "
            f"Of {counted(false_alarms + found, 'clip')} called {bdi(positive)}, {false_alarms} were "
            f"{bdi(names[negative])}."
        )
    reading = "Rows are true classes, columns what the model said; the shade is the share of the row. "
    return figure_element(picture, f"Confusion matrix. {words}", reading + words)


def _commonest_confusion(names: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    pairs = [(row, column) for row in range(len(names)) for column in range(len(names)) if row != column]
    worst = max(pairs, key=lambda pair: counts[pair[0]][pair[1]])
    count = counts[worst[0]][worst[1]]
    if count <= 1:
        return "No mistake was made twice." if count else "No clip was mistaken."
    return f"The commonest mistake: {counted(count, 'clip')} of {bdi(names[worst[0]])} called {bdi(names[worst[1]])}."


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
            f"Lowering the probability from which a clip is called {bdi(positive)} finds more of them (upwards) at "
            "the price of more false alarms (to the right). "
        )
    words += "The area is 100&nbsp;% for a perfect ranking, 50&nbsp;% for guessing"
    words += "." if area["value"] is None else f", and {in_words(area)} here."
    return figure_element(picture, f"ROC curve. Area under the curve: {in_words(area)}.", words)


def _training(picture: Picture | None) -> str:
    if picture is None:
        return "<p>The run left no training history to draw.</p>"
    words = (
        "Training figures are of augmented clips in training mode, validation figures of whole clips, so the two need "
        "not meet. A validation loss that rises while the training loss falls is overfitting."
    )
    return figure_element(picture, "Training and validation loss and accuracy over the run.", words)


def _changes(adaptation: Adaptation) -> str:
    if adaptation.changes:
        words = (
            "Every change with the validation figures of the evaluation that led to it, of the next one, and of the "
            "lowest loss before the change after. The lines in the training curves are these changes."
        )
        changes = table(CHANGES_HEADER, [row_cells(change_cells(change)) for change in adaptation.changes], "Changes")
    else:
        words, changes = "The activations did not change: the policy saw no occasion to.", ""
    best = table(BEST_HEADER, [row_cells(best_cells(row)) for row in adaptation.best], "Best with each activation")
    return f"<p>{words}</p>\n{changes}\n<p>Best validation figures with each activation:</p>\n{best}"


def _windows(figures: Mapping[str, Any]) -> str:
    """Figures of single windows beside those of clips."""
    views = figures["views"]
    words = (
        f"A clip's probabilities are the means over its windows, {counted(views['num_clips'], 'window')} in all; "
        "here are the figures of single windows beside those of clips."
    )
    names = ("accuracy", "balanced_accuracy", "macro_f1", "roc_auc")
    rows = [
        f'<th scope="row">{_figure_name(figures, key)}</th>{figure_cell(views[key])}{figure_cell(figures[key])}'
        for key in names
    ]
    confusion = [
        f'<th scope="row">{bdi(name)}</th>' + "".join(f"<td>{count}</td>" for count in counts)
        for name, counts in zip(views["class_names"], views["confusion_matrix"]["value"], strict=True)
    ]
    header = ["True class", *(f"called {html.escape(name)}" for name in views["class_names"])]
    vote = (
        f"<p>By the class that most of its windows say, {in_words(figures['vote']['accuracy'])} of the clips are right."
        "</p>"
    )
    return (
        f"<p>{words}</p>\n{table(['Figure', 'Windows', 'Clips'], rows, 'Windows and clips')}\n{vote}\n"
        f"<p>Confusion matrix of the windows:</p>\n{table(header, confusion, 'Confusion matrix of windows')}"
    )


def _per_class_table(figures: Mapping[str, Any]) -> str:
    header = ["Class", "Clips", "Precision", "Recall", "F1", "ROC AUC"]
    rows = []
    for name, figure in figures["per_class"].items():
        cells = [figure_cell(figure[key]) for key in ("precision", "recall", "f1", "auc")]
        rows.append(f'<th scope="row">{bdi(name)}</th><td>{figure["support"]}</td>{"".join(cells)}')
    words = (
        "Precision: of the clips given this class, the share that are of it. Recall: of the clips of this class, the "
        "share found. F1: their harmonic mean. ROC AUC: how well this class's probability ranks the clips."
    )
    return f"<p>{words}</p>\n{table(header, rows, 'Figures of every class')}"


def _all_figures_table(figures: Mapping[str, Any]) -> str:
    keys = [key for key in _FIGURE_NAMES if figures["positive_class"] is not None or key not in _OF_POSITIVE_CLASS]
    rows = []
    for key in keys:
        name, figure = _figure_name(figures, key), figures[key]
        shown = number if key == "loss" else percent
        cells = "".join(f"<td>{shown(figure[part])}</td>" for part in ("value", "low", "high"))
        rows.append(f'<th scope="row">{name}</th>{cells}')
    return table(["Figure", "Value", "From", "To"], rows, "Overall figures with 95 % intervals")


def _mistake_list(figures: Mapping[str, Any], mistakes: Sequence[Mistake]) -> str:
    if not mistakes:
        return "<p>Every clip was classified right.</p>"
    counts = figures["confusion_matrix"]["value"]
    num_wrong = figures["num_clips"] - sum(counts[index][index] for index in range(len(counts)))
    shown = "" if len(mistakes) == num_wrong else f"; these are the {len(mistakes)} it was most sure of"
    words = f"The model was wrong about {counted(num_wrong, 'clip')}{shown}."
    items = "\n".join(_mistake_item(mistake) for mistake in mistakes)
    return f'<p>{words} Frames run from left to right.</p>\n<ol class="mistakes">\n{items}\n</ol>'


def _mistake_item(mistake: Mistake) -> str:
    clip, label, predicted = bdi(mistake.clip), bdi(mistake.label), bdi(mistake.predicted)
    source = "" if mistake.source == mistake.clip else f', from <bdi class="muted">{html.escape(mistake.source)}</bdi>'
    alt = f"{counted(mistake.num_frames, 'frame')} of {html.escape(mistake.clip)} in order of time"
    # As wide as the page where there are frames enough, never blurred, and on a phone rather scrolled than tiny.
    width = mistake.strip.shape[1]
    style = f"max-width:{width}px;min-width:{min(width, 560)}px"
    return (
        f'<li><p><span class="clip">{clip}</span>{source}<br>'
        f"is {label}, called {predicted} with probability {percent(mistake.probability)} "
        f'<span class="muted">({label} {percent(mistake.label_probability)})</span></p>\n'
        f'<div class="scroll" role="region" aria-label="{alt}" tabindex="0">'
        f'<img src="{data_uri("jpeg", mistake.jpeg())}" style="{style}" alt="{alt}"></div></li>'
    )


def _footer(figures: Mapping[str, Any]) -> str:
    bootstrap = figures["bootstrap"]
    return (
        f"Intervals are 95&nbsp;% percentile intervals of {bootstrap['num_resamples']} bootstrap resamples of the "
        f"source videos (seed {bootstrap['seed']}). They say how far chance in the choice of test videos reaches, not "
        "how the model does on videos of another kind. A figure without an interval is undefined in most resamples or "
        "the same in all. Written by jaxvid."
    )
