from jaxvid.report.html import (
    bdi,
    cautions_element,
    counted,
    estimate_text,
    interval_text,
    plain,
    row_cells,
    value_text,
)


def test_values_are_percent_or_numbers_or_undefined():
    assert value_text(0.5) == "50.0&nbsp;%"
    assert value_text(0.5, percent=False) == "0.500"
    assert value_text(None) == "undefined"


def test_intervals_have_two_ends():
    estimate = {"value": 0.5, "low": 0.4, "high": 0.6}
    assert interval_text(estimate) == "40.0&nbsp;to&nbsp;60.0&nbsp;%"
    assert interval_text(estimate, percent=False) == "0.400&nbsp;to&nbsp;0.600"
    assert estimate_text(estimate) == "50.0&nbsp;% (40.0&nbsp;to&nbsp;60.0&nbsp;%)"


def test_an_interval_without_width_is_left_out():
    assert interval_text({"value": 1.0, "low": 1.0, "high": 1.0}) == ""
    assert interval_text({"value": 1.0, "low": None, "high": None}) == ""
    assert estimate_text({"value": 1.0, "low": 1.0, "high": 1.0}) == "100.0&nbsp;%"


def test_names_are_escaped_and_isolated():
    assert bdi("<b>") == "<bdi>&lt;b&gt;</bdi>"
    assert plain(f"clips of {bdi('a & b')}") == "clips of a &amp; b"
    assert row_cells(["<i>", "&"]) == '<th scope="row">&lt;i&gt;</th><td>&amp;</td>'


def test_one_thing_is_singular():
    assert counted(1, "clip") == "1 clip"
    assert counted(0, "clip") == "0 clips"


def test_no_caution_has_no_box():
    assert cautions_element([]) == ""
    assert cautions_element(["a", "b"]).count("<p>") == 2
