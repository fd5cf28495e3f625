"""Tables as text: rows of cells, the header first."""

import re
from collections.abc import Iterator, Sequence

Table = Sequence[Sequence[str]]

# The same in `predict/pages/labels.js`.
_FORMULA = re.compile(r"'*[=+\-@\t\r]")


def quoted_formula(text: str) -> str:
    """Returns the cell of a CSV file for a name; one that a spreadsheet takes for a formula gets a quote before it.

    `unquoted_formula` takes the quote away again.
    """
    return f"'{text}" if _FORMULA.match(text) else text


def unquoted_formula(cell: str) -> str:
    """Returns the name that `quoted_formula` made a cell of."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def aligned(table: Table, right: Sequence[bool] = ()) -> Iterator[str]:
    """Yields lines with aligned columns; `right` tells which are aligned to the right, by default none."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    right = right or [False] * len(widths)
    for row in table:
        cells = zip(row, widths, right, strict=True)
        yield "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width) for cell, width, to_right in cells
        ).rstrip()


def in_markdown(table: Table, right: Sequence[bool] = ()) -> Iterator[str]:
    """Yields the lines of a Markdown table; `right` as in `aligned`."""
    header, *rows = ([cell.replace("|", "\\|") for cell in row] for row in table)
    rule = ["---:" if to_right else "---" for to_right in right or [False] * len(header)]
    for cells in (header, rule, *rows):
        yield f"| {' | '.join(cells)} |"
