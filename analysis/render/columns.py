"""Tables for a terminal, whose headings are broken into lines where they would not fit else."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    Columns = Mapping[str, Sequence[str]]

_GAP = 2


def least_width(columns: Columns) -> int:
    """Return how wide a table is at least, with every heading broken over its cells.

    Args:
        columns: The cells of each column by its heading.

    Returns:
        The width in characters.
    """
    return _width({_broken(heading, cells): cells for heading, cells in columns.items()})


def terminal_table(
    columns: Columns, width: int, left: Collection[str], styles: Iterable[str] = ()
) -> Table:
    """Make a table of texts and numbers.

    Args:
        columns: The cells of each column by its heading.
        width: Characters of the terminal; headings are broken where they make the table wider.
        left: The headings of the columns of text, which stand at the left of theirs.
        styles: How each row looks; as usual by default.

    Returns:
        The table.
    """
    is_wide = _width(columns) > width
    table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, header_style="dim")
    for heading, cells in columns.items():
        table.add_column(
            Text(_broken(heading, cells) if is_wide else heading),
            justify="left" if heading in left else "right",
            no_wrap=heading not in left,
            vertical="bottom" if is_wide else "top",
        )
    rows = list(zip(*columns.values(), strict=True))
    for row, style in zip(rows, [*styles] or [""] * len(rows), strict=True):
        table.add_row(*map(Text, row), style=style)
    return table


def _width(columns: Columns) -> int:
    widths = [_widest([*heading.splitlines(), *cells]) for heading, cells in columns.items()]
    return sum(widths) + _GAP * (len(widths) - 1)


def _widest(texts: Iterable[str]) -> int:
    return max(map(cell_len, texts), default=0)


def _broken(heading: str, cells: Iterable[str]) -> str:
    """Break a heading between words, into lines no wider than its cells or its longest word."""
    width = _widest([*heading.split(), *cells])
    return "\n".join(textwrap.wrap(heading, max(1, width), break_on_hyphens=False))
