"""The tables of paper 1.2: how the activations of a run changed, and the metrics that followed."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jaxvid.tables import aligned


class Adaptation(NamedTuple):
    """The changes of activations in a run.

    Attributes:
      changes: rows of `jaxvid.train.adaptation.change_rows`.
      best: rows of `jaxvid.train.adaptation.best_rows`.
    """

    changes: Sequence[Mapping[str, Any]]
    best: Sequence[Mapping[str, Any]]


CHANGES_HEADER = (
    "epoch",
    "change",
    "because of",
    "loss before",
    "next",
    "lowest after",
    "accuracy before",
    "next",
    "at lowest loss",
)
BEST_HEADER = ("activation", "evaluations", "lowest loss", "highest accuracy")


def change_cells(change: Mapping[str, Any]) -> list[str]:
    """Formats a change as the cells under CHANGES_HEADER."""
    reason = change["reason"] + (", best weights restored" if change["returned_to_best"] else "")
    moments = [change[moment] for moment in ("before", "next", "best")]
    return [
        f"{change['epoch']:g}",
        f"{change['from']} → {change['to']}",
        reason,
        *("-" if metrics is None else f"{metrics['loss']:.3f}" for metrics in moments),
        *("-" if metrics is None else f"{100 * metrics['accuracy']:.2f} %" for metrics in moments),
    ]


def best_cells(row: Mapping[str, Any]) -> list[str]:
    """Formats the best metrics with an activation as the cells under BEST_HEADER."""
    return [row["activation"], str(row["evaluations"]), f"{row['loss']:.3f}", f"{100 * row['accuracy']:.2f} %"]


def format_adaptation(adaptation: Adaptation) -> str:
    """Formats both tables for the terminal."""
    if not adaptation.changes:
        changes = "The activations did not change."
    else:
        cells = [change_cells(change) for change in adaptation.changes]
        changes = "Changes of activations (validation metrics):\n" + _indented([CHANGES_HEADER, *cells])
    best = _indented([BEST_HEADER, *map(best_cells, adaptation.best)])
    return f"{changes}\nBest with each activation (validation metrics):\n{best}"


def _indented(rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"  {line}" for line in aligned(rows))
