"""The campaign: `python -m tests.faults --minutes=20 --seed=0`."""

import argparse
import sys

from tests.faults.campaign import Outcome, Row, failures_text, run_row, run_rows, table
from tests.faults.rows import ROWS


def main() -> int:
    """Runs the command; returns its exit status: 1 if anything came out otherwise than promised."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="Breaks what is promised, and counts.")
    parser.add_argument("--minutes", type=float, help="for all rows together; 10 unless --first or --tries is given")
    parser.add_argument("--seed", type=int, default=0, help="the same seed makes the same tries")
    parser.add_argument("--only", action="append", choices=list(ROWS), help="a row; may be given several times")
    parser.add_argument("--first", type=int, default=0, help="number of the first try of a row, to repeat one")
    parser.add_argument("--tries", type=int, help="tries of every row, instead of its share of the time")
    arguments = parser.parse_args()
    rows = {name: row for name, row in ROWS.items() if arguments.only is None or name in arguments.only}
    if arguments.tries is None and not arguments.first:
        outcomes = run_rows(rows, arguments.seed, 60 * (arguments.minutes or 10.0), _say)
    else:
        outcomes = {name: _some_tries(name, row, arguments) for name, row in rows.items()}
    print(table(rows, outcomes))
    if failures := failures_text(outcomes, arguments.seed):
        print(f"\n{failures}")
    return 1 if failures else 0


def _some_tries(name: str, row: Row, arguments: argparse.Namespace) -> Outcome:
    """Makes the tries that were asked for, as far as the time allows if one was given; else the first of them alone."""
    tries = arguments.tries if arguments.tries or arguments.minutes else 1
    seconds = 60 * arguments.minutes if arguments.minutes else float("inf")
    return run_row(name, row, arguments.seed, seconds=seconds, first=arguments.first, tries=tries, say=_say)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
