import pytest

from jaxvid.tables import quoted_formula, unquoted_formula


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-x", "'-x"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        # Else the quote of the name would be taken for one of ours.
        ("'=1", "''=1"),
        ("fight", "fight"),
        ("no-fight", "no-fight"),
        ("'fight'", "'fight'"),
        ("", ""),
    ],
)
def test_names_that_begin_formulas_have_a_quote_before_them_and_come_back(name, cell):
    assert quoted_formula(name) == cell
    assert unquoted_formula(cell) == name
