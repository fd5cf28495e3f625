"""Tables as text: rows of cells, the header first."""

from collections.abc import Iterator, Sequence

Table = Sequence[Sequence[str]]


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
