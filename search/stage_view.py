"""How a stage after the trials comes along: a bar in a terminal, one line where it ends."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from search.view import clock

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from rich.console import Console

Result = TypeVar("Result")


def follow(
    console: Console, words: str, results: Iterable[Result], total: int
) -> Generator[Result, None, None]:
    """Show how results come in.

    Args:
        console: Where to show it.
        words: What is done.
        results: What comes, piece by piece.
        total: How many will; nothing is said of none.

    Yields:
        The results.
    """
    if not total:
        return
    began = time.monotonic()
    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        expand=True,
        transient=True,
    )
    with bars:
        task = bars.add_task(words, total=total)
        for result in results:
            bars.advance(task)
            yield result
    seconds = time.monotonic() - began
    console.print(f"{words} took {clock(seconds)}", highlight=False)
