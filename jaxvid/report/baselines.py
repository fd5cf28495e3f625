"""The section of a report on baselines: what needs no network to be predicted."""

import html
from collections.abc import Mapping
from typing import Any

from jaxvid.metrics.classification import Estimate, SplitMetrics
from jaxvid.report.html import metric_cell, paragraph, table


def baselines(metrics: SplitMetrics) -> str:
    """Makes the content of the section, from the metrics of the network and those under "baselines"."""
    compared = metrics["baselines"]
    if not compared["systems"]:
        return "\n".join(paragraph(html.escape(note)) for note in compared["notes"])
    words = (
        f"Fitted on the training clips ({html.escape(compared['trained_on'])}) and evaluated on the same clips as the "
        "network. The commonest class is that of the training clips. The two others are logistic regressions: on what "
        "is known of a file without looking at its frames, and on how much its pixels change, five numbers of the "
        "absolute difference between neighbors of 16 gray frames of 160x120. The last column is the accuracy of the "
        "network less that of the baseline, in percentage points, with its interval over the same resamples of the "
        "source videos: the network is clearly above a baseline where the interval is above zero."
    )
    rows = [_row("the network", metrics, "<td></td>")]
    rows += [
        _row(system["label"], system, _points_cell(system["difference"])) for system in compared["systems"].values()
    ]
    header = ["", "Accuracy", "ROC AUC", "Network less baseline"]
    return f"{paragraph(words)}\n{table(header, rows, 'The network and the baselines')}"


def _row(label: str, estimates: Mapping[str, Any], difference: str) -> str:
    cells = "".join(metric_cell(estimates[name]) for name in ("accuracy", "roc_auc"))
    return f'<th scope="row">{html.escape(label)}</th>{cells}{difference}'


def _points_cell(difference: Estimate) -> str:
    value, low, high = difference["value"], difference["low"], difference["high"]
    if value is None:
        return "<td>undefined</td>"
    if low is None or high is None:
        return f"<td>{100 * value:+.1f}</td>"
    return f'<td>{100 * value:+.1f}<span class="interval">{100 * low:+.1f} to {100 * high:+.1f}</span></td>'
