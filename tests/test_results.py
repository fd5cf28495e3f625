"""The documents show what the CSV files of configs/results hold, and nothing else."""

import re

import pytest

from configs.results import tables
from configs.results.tables import BLOCK, DOCUMENTS, FOLDER, ROOT, table_lines, with_tables
from jaxvid.compare.results import read_results

# Figures of one percentage sign: "62.5, 66.7 and 75.0 %", "62 to 75 %", "63.5 % ± 11.5", "49.0 % [21.9, 78.6]".
NUMBER = r"\d+(?:\.\d+)?"
PERCENTAGE = re.compile(rf"({NUMBER}(?:(?:, | to | and |, and | or ){NUMBER})*)[  ]%(?: ± ({NUMBER}))?(?: \[(.+?)\])?")
NOT_MEASURED = re.compile(r"95 % intervals?")


def numbers_in(text):
    """The figures in percent of a document, outside its tables, its code and the level of intervals."""
    prose = re.sub(r"```.*?```|`[^`]*`", "", BLOCK.sub("", text), flags=re.DOTALL)
    prose = NOT_MEASURED.sub("", re.sub(r"\s+", " ", prose))
    return [number for found in PERCENTAGE.findall(prose) for number in re.findall(NUMBER, " ".join(found))]


def held_fractions():
    cells = [cell for path in FOLDER.glob("*.csv") for row in read_results(path) for cell in row.values()]
    return [float(part) for cell in cells for part in cell.split() if re.fullmatch(r"[01]\.\d+", part)]


def is_held(number, fractions):
    half = 0.5 * 10 ** -len(number.partition(".")[2])
    return any(abs(100 * fraction - float(number)) <= half + 1e-9 for fraction in fractions)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_tables_are_what_the_csv_files_give(name):
    text = (ROOT / name).read_text()
    assert with_tables(text, (ROOT / name).parent) == text, "run python -m configs.results"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_percentage_is_in_a_csv_file(name):
    fractions = held_fractions()
    assert [number for number in numbers_in((ROOT / name).read_text()) if not is_held(number, fractions)] == []


def test_percentages_are_found_and_looked_up():
    text = "of 62 to 75 % and 61.2, 49.0 % ± 6.2 [21.9, 78.6]; a 95 % interval, `7 %`, 3 minutes, 2 % of\nall"
    assert numbers_in(text) == ["62", "75", "61.2", "49.0", "6.2", "21.9", "78.6", "2"]
    assert is_held("62", [0.6249])
    assert not is_held("62", [0.6251])
    assert not is_held("62.0", [0.6249])


COLUMNS = "system dataset runs accuracy accuracy_sd accuracy_low accuracy_high accuracy_runs paper_f1 val_loss seconds"
CSV = f"""{COLUMNS.replace(" ", ",")},hardware,date,command
LRCN,hockey,1,0.9104,,0.85,0.96,,0.8775,0.6661,45,2 CPU cores,2026-11-24,python
LRCN,crowds,2 seeds,0.63505,0.115,0.55,0.71,0.6600 0.7917,,,180 to 420,2 CPU cores,2026-11-26,python
SHDN,hockey,1,1.0000,,,,,,,7200,1 x H100,2026-11-25,python
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "made_up.csv").write_text(CSV)
    monkeypatch.setattr(tables, "FOLDER", tmp_path)
    return tmp_path


def test_a_table_has_figures_in_percent_with_spread_and_interval(folder):
    comment = "made_up show=system,runs,accuracy,accuracy_runs,paper_f1,val_loss,seconds"
    assert table_lines(comment, folder) == [
        "| system | runs | accuracy | of the runs | paper F1 | validation loss (nats) | time of a run |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        "| LRCN | 1 | 91.0 % [85, 96] |  | 87.75 % | 0.6661 | 45 s |",
        "| LRCN | 2 seeds | 63.5 % ± 11.5 [55, 71] | 66.0, 79.2 % |  |  | 3 to 7 min |",
        "| SHDN | 1 | 100 % |  |  |  | 2 h |",
        "",
        "On 2 CPU cores, 2026-11-24 to 2026-11-26; 1 x H100, 2026-11-25. Commands and all figures: "
        "[made_up.csv](made_up.csv).",
    ]


def test_a_table_shows_all_columns_but_the_circumstances_where_none_are_named(folder):
    header = table_lines("made_up", folder)[0]
    assert header == "| system | dataset | runs | accuracy | paper F1 | validation loss (nats) |"


def test_a_difference_stands_in_points(folder):
    (folder / "differences.csv").write_text(
        "system,above_pixels,above_pixels_low,above_pixels_high\nLRCN,-0.1380,-0.2771,-0.018\nSHDN,0.0042,,\n"
    )
    assert table_lines("differences", folder)[:4] == [
        "| system | less pixel change |",
        "| --- | --- |",
        "| LRCN | -13.8 points [-27.7, -1.8] |",
        "| SHDN | +0.4 points |",
    ]


def test_the_values_of_a_column_become_columns(folder):
    assert table_lines("made_up show=system,accuracy by=dataset", folder)[:4] == [
        "| system | hockey | crowds |",
        "| --- | --- | --- |",
        "| LRCN | 91.0 % [85, 96] | 63.5 % ± 11.5 [55, 71] |",
        "| SHDN | 100 % |  |",
    ]
    with pytest.raises(ValueError, match="two rows for hockey and 1"):
        table_lines("made_up show=dataset,accuracy by=runs", folder)


def test_rows_are_selected_by_value(folder):
    comment = "made_up show=system,accuracy where=system:LRCN where='runs:2 seeds|3 seeds'"
    assert table_lines(comment, folder)[2:4] == ["| LRCN | 63.5 % ± 11.5 [55, 71] |", ""]


def test_only_what_stands_between_the_comments_is_replaced(folder):
    text = "a\n<!-- results: made_up show=system where=system:SHDN -->\nold\n<!-- end -->\nb <!-- results: x -->\n"
    written = with_tables(text, folder)
    assert written.startswith("a\n<!-- results: made_up show=system where=system:SHDN -->\n\n| system |\n")
    assert written.endswith("\n\n<!-- end -->\nb <!-- results: x -->\n")
    assert "old" not in written
    assert with_tables(written, folder) == written


@pytest.mark.parametrize(
    ("comment", "message"),
    [
        ("made", "names 'made'; allowed: made_up"),
        ("made_up show=sistem", "names the column 'sistem'; allowed: system, dataset"),
        ("made_up by=sistem", "names the column 'sistem'"),
        ("made_up where=system:CNN", "selects no row"),
        ("made_up where=system", "has 'where=system'; allowed: show="),
        ("made_up columns=system", "has 'columns=system'; allowed: show="),
    ],
)
def test_a_comment_that_cannot_be_followed_is_named(folder, comment, message):
    with pytest.raises(ValueError, match=message):
        table_lines(comment, folder)
