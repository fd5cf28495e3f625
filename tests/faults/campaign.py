"""The loop of the campaign: tries of one row after another, what came of them, and the table."""

import shutil
import tempfile
import time
import traceback
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxvid.tables import in_markdown


class Try(NamedTuple):
    """What one try has to itself.

    Attributes:
      number: of the try within its row, from 0; rows that go through a list take the entry of this number.
      rng: depends on the campaign's seed, the row's name and the number alone.
      directory: empty, and removed after the try.
      seconds: left to the row. A try may end later, but one that can be shorter should be.
    """

    number: int
    rng: np.random.Generator
    directory: Path
    seconds: float


# Breaks something and looks what comes out. Returns an entry for everything that it tried: "" if what is promised came
# out, and what came out instead if not. An exception is a failure too.
Attempt = Callable[[Try], Sequence[str]]


class Row(NamedTuple):
    """A promise and how it is tried.

    Attributes:
      promise: in words.
      attempt: makes one try.
      quick_tries: of the slow test, which has about a minute for each row; 0 leaves the row to the command.
    """

    promise: str
    attempt: Attempt
    quick_tries: int


@dataclass
class Outcome:
    """What came of the tries of a row.

    Attributes:
      tried: number of things tried, of which a try may hold several.
      failures: what came out instead of what is promised, each with the number of its try.
      seconds: that the tries took.
    """

    tried: int = 0
    failures: list[tuple[int, str]] = field(default_factory=list)
    seconds: float = 0.0


def run_row(
    name: str,
    row: Row,
    seed: int,
    *,
    seconds: float = float("inf"),
    first: int = 0,
    tries: int | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Makes tries of a row, at least one, until its time is over or they are `tries`, from the number `first` on.

    It says what came of each, lest what hours have found be lost where a later try is stopped.
    """
    outcome, began, number = Outcome(), time.monotonic(), first
    while number == first or (time.monotonic() - began < seconds and (tries is None or number < first + tries)):
        verdicts = _try(name, row, seed, number, seconds - (time.monotonic() - began))
        outcome.tried += len(verdicts)
        failures = [verdict for verdict in verdicts if verdict]
        outcome.failures += [(number, verdict) for verdict in failures]
        say("\n".join([f"{name}, try {number}: {len(verdicts)} tried, {len(failures)} failures", *failures]))
        number += 1
    outcome.seconds = time.monotonic() - began
    return outcome


def _try(name: str, row: Row, seed: int, number: int, seconds: float) -> Sequence[str]:
    rng = np.random.default_rng([seed, zlib.crc32(name.encode()), number])
    directory = Path(tempfile.mkdtemp(prefix=f"fault-{name}-"))
    try:
        return row.attempt(Try(number, rng, directory, seconds))
    except Exception:
        return [traceback.format_exc()]
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def run_rows(rows: dict[str, Row], seed: int, seconds: float, say: Callable[[str], None]) -> dict[str, Outcome]:
    """Makes tries of all rows, which share the time: what one leaves over goes to those behind it."""
    outcomes, end = {}, time.monotonic() + seconds
    for position, (name, row) in enumerate(rows.items()):
        share = max(0.0, end - time.monotonic()) / (len(rows) - position)
        outcomes[name] = run_row(name, row, seed, seconds=share, say=say)
    return outcomes


def table(rows: dict[str, Row], outcomes: dict[str, Outcome]) -> str:
    """Returns the counts of all rows as Markdown."""
    header = ("row", "promise", "tried", "as promised", "failures", "seconds")
    cells = [
        (
            name,
            rows[name].promise,
            str(outcome.tried),
            str(outcome.tried - len(outcome.failures)),
            str(len(outcome.failures)),
            f"{outcome.seconds:.0f}",
        )
        for name, outcome in outcomes.items()
    ]
    return "\n".join(in_markdown([header, *cells], [False, False, True, True, True, True]))


def failures_text(outcomes: dict[str, Outcome], seed: int) -> str:
    """Returns every failure with the command that repeats its try."""
    return "\n".join(
        f"{name}, try {number}: {failure}\n"
        f"  repeat: python -m tests.faults --only={name} --seed={seed} --first={number} --tries=1"
        for name, outcome in outcomes.items()
        for number, failure in outcome.failures
    )
