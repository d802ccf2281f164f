from __future__ import annotations

import io
from typing import TYPE_CHECKING

from rich.console import Console

from analysis.render.columns import least_width, terminal_table

if TYPE_CHECKING:
    import pytest

COLUMNS = {
    "run": ["a run", "no"],
    "F1 positive": ["0.8308", ""],
    "F1 no": ["0.5000", "0.1000"],
    "95 % interval": ["0.797 to 0.950", ""],
}
FLAT = [
    "run    F1 positive   F1 no   95 % interval",
    "a run       0.8308  0.5000  0.797 to 0.950",
    "no                  0.1000                ",
]
BROKEN = [
    "             F1                        ",
    "run    positive   F1 no   95 % interval",
    "a run    0.8308  0.5000  0.797 to 0.950",
    "no               0.1000                ",
]


def drawn(width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(terminal_table(COLUMNS, width, ["run"]))
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined, no-any-return]


def test_headings_stand_on_one_line_where_that_fits() -> None:
    assert drawn(len(FLAT[0])) == FLAT


def test_a_heading_wider_than_its_cells_is_broken_where_the_table_does_not_fit_else() -> None:
    assert drawn(len(FLAT[0]) - 1) == drawn(len(BROKEN[0])) == BROKEN


def test_the_least_width_is_that_of_broken_headings() -> None:
    assert least_width(COLUMNS) == len(BROKEN[0])
    assert least_width({"怒り": ["x"]}) == 4, "cells of a terminal, not characters"


def test_words_of_users_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    Console(width=80).print(terminal_table({"F1 [red]": ["[/b]"]}, 80, []))
    assert capsys.readouterr().out.split() == ["F1", "[red]", "[/b]"]
