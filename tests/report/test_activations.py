from jaxvid.report.activations import (
    BEST_HEADER,
    CHANGES_HEADER,
    Adaptation,
    best_cells,
    change_cells,
    format_adaptation,
)
from tests.report.made_up import BEST, CHANGE


def test_a_change_has_a_cell_under_each_heading():
    cells = change_cells(CHANGE)
    assert len(cells) == len(CHANGES_HEADER)
    assert cells[:3] == ["0.5", "celu → leaky_relu", "rise, best weights restored"]
    assert cells[3:] == ["0.773", "0.600", "0.475", "71.00 %", "75.00 %", "78.50 %"]


def test_a_change_without_a_later_evaluation_has_dashes():
    cells = change_cells({**CHANGE, "next": None, "best": None, "returned_to_best": False})
    assert cells[2:] == ["rise", "0.773", "-", "-", "71.00 %", "-", "-"]


def test_the_best_with_an_activation_has_a_cell_under_each_heading():
    cells = best_cells(BEST)
    assert len(cells) == len(BEST_HEADER)
    assert cells == ["celu", "3", "0.700", "76.75 %"]


def test_the_terminal_has_both_tables_or_says_that_nothing_changed():
    lines = format_adaptation(Adaptation([CHANGE], [BEST])).splitlines()
    assert lines[0] == "Changes of activations (validation metrics):"
    assert lines[3] == "Best with each activation (validation metrics):"
    assert lines[4].index("evaluations") == lines[5].index("3")
    assert format_adaptation(Adaptation([], [BEST])).startswith("The activations did not change.")
