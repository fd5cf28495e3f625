"""How the activations changed in a run, and what came of it: the tables of paper 1.2, as text and as HTML rows."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jaxvid.tables import aligned


class Adaptation(NamedTuple):
    """What a run's policy did.

    Attributes:
      changes: as `jaxvid.adaptation.change_rows` gives them.
      best: as `jaxvid.adaptation.best_rows` gives them.
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
    """A row under CHANGES_HEADER."""
    reason = change["reason"] + (", best weights back" if change["returned_to_best"] else "")
    moments = [change[moment] for moment in ("before", "next", "best")]
    return [
        f"{change['epoch']:g}",
        f"{change['from']} → {change['to']}",
        reason,
        *("-" if figures is None else f"{figures['loss']:.3f}" for figures in moments),
        *("-" if figures is None else f"{100 * figures['accuracy']:.2f} %" for figures in moments),
    ]


def best_cells(row: Mapping[str, Any]) -> list[str]:
    """A row under BEST_HEADER."""
    return [row["activation"], str(row["evaluations"]), f"{row['loss']:.3f}", f"{100 * row['accuracy']:.2f} %"]


def format_adaptation(adaptation: Adaptation) -> str:
    """Both tables for the terminal."""
    if not adaptation.changes:
        changes = "The activations did not change."
    else:
        cells = [change_cells(change) for change in adaptation.changes]
        changes = "Changes of activations (validation figures):\n" + _indented([CHANGES_HEADER, *cells])
    best = _indented([BEST_HEADER, *map(best_cells, adaptation.best)])
    return f"{changes}\nBest with each activation (validation figures):\n{best}"


def _indented(rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"  {line}" for line in aligned(rows))
