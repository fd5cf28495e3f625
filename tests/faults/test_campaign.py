"""The loop of the campaign, and a few tries of every row."""

import pytest

from tests.faults.campaign import Row, failures_text, run_row, run_rows, table
from tests.faults.held import Held, growth
from tests.faults.rows import ROWS


def draws(attempt):
    """Three tries that fail where the number is odd; each notes what it drew."""
    drawn = []

    def noting(one):
        drawn.append(int(one.rng.integers(1 << 30)))
        (one.directory / "left behind").touch()
        return attempt(one)

    return drawn, noting


def test_tries_are_counted_and_a_failure_tells_how_to_repeat_it():
    drawn, attempt = draws(lambda one: ["", "lost a frame"] if one.number % 2 else [""])
    row = Row("no frame is lost", attempt, 1)
    said = []
    outcomes = {"frames": run_row("frames", row, 7, tries=3, say=said.append)}
    assert outcomes["frames"].tried == 4
    assert outcomes["frames"].failures == [(1, "lost a frame")]
    assert said[1:] == ["frames, try 1: 2 tried, 1 failures\nlost a frame", "frames, try 2: 1 tried, 0 failures"]
    assert "| frames | no frame is lost | 4 | 3 | 1 |" in table({"frames": row}, outcomes)
    assert "repeat: python -m tests.faults --only=frames --seed=7 --first=1 --tries=1" in failures_text(outcomes, 7)
    again, attempt = draws(lambda _: [""])
    run_row("frames", Row("", attempt, 1), 7, first=1, tries=1)
    assert again == drawn[1:2]


def test_an_exception_is_a_failure_and_the_directory_goes_whatever_happens():
    directories = []

    def attempt(one):
        directories.append(one.directory)
        raise KeyError("unforeseen")

    outcome = run_row("row", Row("", attempt, 1), 0, tries=1)
    assert "KeyError: 'unforeseen'" in outcome.failures[0][1]
    assert not directories[0].exists()


def test_rows_without_time_make_one_try():
    rows = {name: Row("", lambda _: [""], 1) for name in ("first", "second")}
    outcomes = run_rows(rows, 0, 0.0, lambda _: None)
    assert [outcome.tried for outcome in outcomes.values()] == [1, 1]


def test_growth_names_what_has_leaked():
    early = Held(memory=10**9, files=20, threads=100, processes=1)
    assert growth("work", early, early._replace(memory=10**9 + 10**7, threads=99)) == ""
    assert growth("work", early, early._replace(threads=101)).startswith("work: more threads: ")
    assert growth("work", early, early._replace(files=21, processes=2)).startswith("work: more files, processes: ")
    assert growth("work", early, early._replace(memory=10**9 + 100 * 2**20)) == "work: 100 MiB more memory"


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.quick_tries])
def test_a_few_tries_of_every_row_come_out_as_promised(name):
    outcome = run_row(name, ROWS[name], 0, tries=ROWS[name].quick_tries)
    assert not outcome.failures, failures_text({name: outcome}, 0)
