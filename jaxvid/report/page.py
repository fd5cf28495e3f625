"""The HTML page of a report: one file with its images inside, for light and dark screens."""

import html
from collections.abc import Mapping, Sequence

from jaxvid.metrics.classification import Estimate, SplitMetrics
from jaxvid.metrics.table import CLASS_METRICS, COMPARED, MONITORED, Metric, labeled_metrics
from jaxvid.report.activations import BEST_HEADER, CHANGES_HEADER, Adaptation, best_cells, change_cells
from jaxvid.report.baselines import baselines
from jaxvid.report.calibration import calibration, chosen_threshold
from jaxvid.report.html import (
    PlotImages,
    bdi,
    cautions_element,
    counted,
    data_uri,
    estimate_text,
    interval_text,
    metric_cell,
    paragraph,
    plot_element,
    render,
    row_cells,
    section,
    table,
    value_text,
)
from jaxvid.report.mistakes import Mistake

# Half of this either way is more than most systems that papers compare differ by.
_WIDE_INTERVAL = 0.10
# The detail that holds one caution a line.
CAUTION = "Caution"


def render_page(
    title: str,
    metrics: SplitMetrics,
    details: Mapping[str, str],
    mistakes: Sequence[Mistake],
    plots: Mapping[str, PlotImages],
    adaptation: Adaptation | None = None,
    data_page: str | None = None,
) -> str:
    """Renders the page as text. Names and details are escaped; the page refers to nothing but the page about the data.

    Args:
      title: heading of the page.
      metrics: what `metrics.classification.classification_metrics` returns.
      details: name to value of what was evaluated and where, in the order to show; `write_report` says more.
      mistakes: the worst mistakes, the worst first.
      plots: "confusion_matrix", "reliability_diagram", and where there is one "roc_curve" and "training_curves".
      adaptation: how the run's activations changed; None if its policy is fixed.
      data_page: address of the page about the data that the run was trained on; None if there is none.
    """
    sections = [
        *([section("Baselines", baselines(metrics))] if "baselines" in metrics else []),
        section("Confusion matrix", _confusion(metrics, plots["confusion_matrix"])),
        section("Metrics by class", _per_class_table(metrics)),
        section("Worst mistakes", _mistake_list(metrics, mistakes)),
        section("ROC curve", _roc(metrics, plots.get("roc_curve"))),
        section("Calibration", calibration(metrics, plots["reliability_diagram"])),
        section("Training", _training(plots.get("training_curves"))),
        *([section("Changes of activations", _changes(adaptation))] if adaptation else []),
        *([section("Single windows", _windows(metrics))] if "views" in metrics else []),
        section("All metrics", _all_metrics_table(metrics)),
    ]
    cautions = cautions_element([*_handed_over(details), *_cautions(metrics)])
    data = f'<p><a href="{data_page}">The data that the network was trained on</a></p>' if data_page else ""
    summary = "\n".join([_headline(metrics), _tiles(metrics), cautions, _details(details), data])
    return render(title, summary, sections, _footer(metrics))


def _headline(metrics: SplitMetrics) -> str:
    accuracy, num_clips, num_sources = metrics["accuracy"], metrics["num_clips"], metrics["num_sources"]
    num_correct = round(accuracy["value"] * num_clips)
    interval = interval_text(accuracy)
    interval = f" (95&nbsp;% interval {interval})" if interval else ""
    if num_sources == num_clips:
        origin = "Each clip counts as a source video of its own."
    else:
        origin = (
            f"They were cut from {counted(num_sources, 'source video')}, and clips of one video resemble each other."
        )
    return (
        f'<p class="headline"><strong>{value_text(accuracy["value"])}</strong> of the clips were classified '
        f"correctly: {num_correct} of {num_clips}{interval}.</p>\n"
        f"<p>{origin} {_baseline(metrics)}{_positive_class(metrics)}</p>"
    )


def _baseline(metrics: SplitMetrics) -> str:
    name, share = _most_frequent_class(metrics)
    if share == 1:
        return f"All are {bdi(name)}."
    return f"Always predicting {bdi(name)}, their most frequent class, would be correct for {value_text(share)}."


def _positive_class(metrics: SplitMetrics) -> str:
    """How the positive class was chosen; of two classes without one, a note says so."""
    if metrics["positive_class"] is None:
        return ""
    return f" Positive class: {bdi(metrics['positive_class'])} ({html.escape(metrics['positive_class_reason'])})."


def _most_frequent_class(metrics: SplitMetrics) -> tuple[str, float]:
    support = {name: of_class["support"] for name, of_class in metrics["per_class"].items()}
    name = max(support, key=lambda name: support[name])
    return name, support[name] / metrics["num_clips"]


def _tiles(metrics: SplitMetrics) -> str:
    tiles = [_tile(_label(metrics, metric), metrics[metric.name], metric) for metric in COMPARED]
    return '<ul class="tiles">\n' + "\n".join(tiles) + "\n</ul>"


def _tile(label: str, estimate: Estimate, metric: Metric) -> str:
    interval = interval_text(estimate, percent=metric.percent) or "no interval"
    return (
        f'<li><div class="name">{label}</div>'
        f'<div class="value">{value_text(estimate["value"], percent=metric.percent)}</div>'
        f'<div class="interval">{interval}</div>{_track(estimate) if metric.percent else ""}</li>'
    )


def _track(estimate: Estimate) -> str:
    """A bar from 0 to 100 % with the interval and the value in it; the numbers beside it say the same."""
    value, low, high = estimate["value"], estimate["low"], estimate["high"]
    if value is None:
        return ""
    parts = f'<span class="mark" style="left:{100 * value:.1f}%"></span>'
    if low is not None and high is not None:
        parts = f'<span class="range" style="left:{100 * low:.1f}%;width:{100 * (high - low):.1f}%"></span>{parts}'
    return f'<div class="track" aria-hidden="true">{parts}</div>'


def _label(metrics: SplitMetrics, metric: Metric) -> str:
    return metric.label_with(_escaped_positive_class(metrics))


def _escaped_positive_class(metrics: SplitMetrics) -> str | None:
    positive = metrics["positive_class"]
    return None if positive is None else bdi(positive)


def _handed_over(details: Mapping[str, str]) -> list[str]:
    """The cautions of the evaluation: sources that are in the training split too, classes that differ in format."""
    return [html.escape(line) for line in details.get(CAUTION, "").splitlines() if line.strip()]


def _cautions(metrics: SplitMetrics) -> list[str]:
    accuracy = metrics["accuracy"]
    name, share = _most_frequent_class(metrics)
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
                f"The interval reaches down to the {value_text(share)} of always predicting {bdi(name)}: this "
                "result does not show that the model distinguishes the classes."
            )
    compared = metrics.get("baselines", {"systems": {}})
    notes = [*metrics["notes"], *(compared["notes"] if compared["systems"] else [])]
    return cautions + [html.escape(note) for note in notes]


def _details(details: Mapping[str, str]) -> str:
    rows = [
        f"<dt>{html.escape(name)}</dt><dd>{'<br>'.join(map(html.escape, value.splitlines()))}</dd>"
        for name, value in details.items()
        if name != CAUTION
    ]
    return "<dl>\n" + "\n".join(rows) + "\n</dl>" if rows else ""


def _confusion(metrics: SplitMetrics, plot: PlotImages) -> str:
    names, positive = metrics["class_names"], metrics["positive_class"]
    counts = metrics["confusion_matrix"]["value"]
    if positive is None:
        words = _most_frequent_confusion(names, counts)
    else:
        index = names.index(positive)
        negative = 1 - index
        missed, found, false_alarms = counts[index][negative], counts[index][index], counts[negative][index]
        words = (
            f"Of {counted(missed + found, 'clip')} of {bdi(positive)}, {found} were found and {missed} missed. "
            f"Of {counted(false_alarms + found, 'clip')} predicted as {bdi(positive)}, {false_alarms} were "
            f"{bdi(names[negative])}."
        )
    reading = "Rows are true classes, columns are predicted classes; the shade is the share of the row. "
    return plot_element(plot, f"Confusion matrix. {words}", reading + words)


def _most_frequent_confusion(names: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    pairs = [(row, column) for row in range(len(names)) for column in range(len(names)) if row != column]
    row, column = max(pairs, key=lambda pair: counts[pair[0]][pair[1]])
    count = counts[row][column]
    if count <= 1:
        return "No mistake occurred twice." if count else "No clip was misclassified."
    return (
        f"The most frequent mistake: {counted(count, 'clip')} of {bdi(names[row])} predicted as {bdi(names[column])}."
    )


def _roc(metrics: SplitMetrics, plot: PlotImages | None) -> str:
    if plot is None:
        return paragraph("There is no ROC curve: it needs clips of two classes.")
    positive, area = metrics["positive_class"], metrics["roc_auc"]
    if positive is None:
        words = (
            "Each curve ranks the clips by the probability of one class, and shows the share of that class found "
            "against the share of the other clips taken with it. "
        )
    else:
        words = (
            f"The positive class is {bdi(positive)}. The point is where {_decision(metrics)} decides. A lower "
            "threshold on its probability finds more of its clips "
            "(upwards) at the price of more false alarms (to the right). "
        )
    words += "The area is 100&nbsp;% for a perfect ranking, 50&nbsp;% for guessing"
    words += "." if area["value"] is None else f", and {estimate_text(area)} here."
    return plot_element(plot, f"ROC curve. Area under the curve: {estimate_text(area)}.", words)


def _decision(metrics: SplitMetrics) -> str:
    threshold = chosen_threshold(metrics)
    if threshold is None:
        return "the most probable class"
    return f"a threshold of {value_text(threshold)}, chosen on validation clips,"


def _training(plot: PlotImages | None) -> str:
    if plot is None:
        return paragraph("The run left no training history to plot.")
    words = (
        "Training metrics are of augmented clips in training mode, validation metrics of whole clips, so the two need "
        "not meet. A validation loss that rises while the training loss falls is overfitting."
    )
    return plot_element(plot, "Training and validation loss and accuracy over the run.", words)


def _changes(adaptation: Adaptation) -> str:
    if adaptation.changes:
        words = (
            "Each change with the validation metrics of the evaluation that led to it, of the next evaluation, and of "
            "the lowest loss before the following change. The lines in the training curves are these changes."
        )
        changes = table(CHANGES_HEADER, [row_cells(change_cells(change)) for change in adaptation.changes], "Changes")
    else:
        words, changes = "The activations did not change: the policy had no reason to change them.", ""
    best = table(BEST_HEADER, [row_cells(best_cells(row)) for row in adaptation.best], "Best with each activation")
    return f"<p>{words}</p>\n{changes}\n<p>Best validation metrics with each activation:</p>\n{best}"


def _windows(metrics: SplitMetrics) -> str:
    """Metrics of single windows beside those of clips."""
    views = metrics["views"]
    words = (
        f"A clip's probabilities are the means over its windows, {counted(views['num_clips'], 'window')} in all; "
        "here are the metrics of single windows beside those of clips."
    )
    rows = []
    for metric in MONITORED:
        cells = "".join(metric_cell(of_split[metric.name], percent=metric.percent) for of_split in (views, metrics))
        rows.append(f'<th scope="row">{_label(metrics, metric)}</th>{cells}')
    confusion = [
        f'<th scope="row">{bdi(name)}</th>' + "".join(f"<td>{count}</td>" for count in counts)
        for name, counts in zip(views["class_names"], views["confusion_matrix"]["value"], strict=True)
    ]
    header = ["True class", *(f"predicted as {html.escape(name)}" for name in views["class_names"])]
    vote = (
        "<p>By the class that most windows of a clip predict, "
        f"{estimate_text(metrics['vote']['accuracy'])} of the clips are correct.</p>"
    )
    return (
        f"<p>{words}</p>\n{table(['Metric', 'Windows', 'Clips'], rows, 'Windows and clips')}\n{vote}\n"
        f"<p>Confusion matrix of the windows:</p>\n{table(header, confusion, 'Confusion matrix of windows')}"
    )


def _per_class_table(metrics: SplitMetrics) -> str:
    header = ["Class", "Clips", *(metric.label for metric in CLASS_METRICS)]
    rows = []
    for name, of_class in metrics["per_class"].items():
        cells = "".join(metric_cell(of_class[metric.name]) for metric in CLASS_METRICS)
        rows.append(f'<th scope="row">{bdi(name)}</th><td>{of_class["support"]}</td>{cells}')
    words = " ".join(f"{metric.label}: {metric.description}." for metric in CLASS_METRICS)
    return f"<p>{words}</p>\n{table(header, rows, 'Metrics of every class')}"


def _all_metrics_table(metrics: SplitMetrics) -> str:
    rows = []
    for label, metric in labeled_metrics(_escaped_positive_class(metrics)).items():
        estimate = metrics[metric.name]
        values = (estimate["value"], estimate["low"], estimate["high"])
        cells = "".join(f"<td>{value_text(value, percent=metric.percent)}</td>" for value in values)
        rows.append(f'<th scope="row">{label}</th>{cells}')
    return table(["Metric", "Value", "From", "To"], rows, "Overall metrics with 95 % intervals")


def _mistake_list(metrics: SplitMetrics, mistakes: Sequence[Mistake]) -> str:
    if not mistakes:
        return paragraph("Every clip was classified correctly.")
    counts = metrics["confusion_matrix"]["value"]
    num_wrong = metrics["num_clips"] - sum(counts[index][index] for index in range(len(counts)))
    shown = "" if len(mistakes) == num_wrong else f"; these are the {len(mistakes)} with the highest probabilities"
    words = f"The model misclassified {counted(num_wrong, 'clip')}{shown}."
    items = "\n".join(_mistake_item(mistake) for mistake in mistakes)
    return f'<p>{words} Frames run from left to right.</p>\n<ol class="mistakes">\n{items}\n</ol>'


def _mistake_item(mistake: Mistake) -> str:
    clip, label, predicted = bdi(mistake.clip), bdi(mistake.label), bdi(mistake.predicted)
    source = "" if mistake.source == mistake.clip else f', from <bdi class="muted">{html.escape(mistake.source)}</bdi>'
    alt = f"{counted(mistake.num_frames, 'frame')} of {html.escape(mistake.clip)} in order of time"
    # As wide as the page allows but never enlarged; on a phone it scrolls rather than becoming tiny.
    width = mistake.strip.shape[1]
    style = f"max-width:{width}px;min-width:{min(width, 560)}px"
    return (
        f'<li><p><span class="clip">{clip}</span>{source}<br>'
        f"is {label}, predicted as {predicted} with probability {value_text(mistake.probability)} "
        f'<span class="muted">({label} {value_text(mistake.label_probability)})</span></p>\n'
        f'<div class="scroll" role="region" aria-label="{alt}" tabindex="0">'
        f'<img src="{data_uri("jpeg", mistake.jpeg())}" style="{style}" alt="{alt}"></div></li>'
    )


def _footer(metrics: SplitMetrics) -> str:
    bootstrap = metrics["bootstrap"]
    return (
        f"Intervals are 95&nbsp;% percentile intervals of {bootstrap['num_resamples']} bootstrap resamples of the "
        f"source videos (seed {bootstrap['seed']}). They show how much the metrics depend on the choice of test "
        "videos, not how the model performs on videos of another kind. A metric without an interval is undefined in "
        "most resamples, or the same in all. Written by jaxvid."
    )
