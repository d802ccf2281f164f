"""The live view of a search: one panel in a terminal, one line per ended trial elsewhere.

Ray pickles its callbacks, and a live view holds locks: it is made in `setup` and never pickled.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ray.tune import Callback
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from analysis.program import make_console
from search.trials import OUTCOMES
from search.view import ended_line, render

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.console import Console, RenderableType

    from search.preparation import BuildStep
    from search.trials import Records
    from search.view import ViewInfo

_REFRESH_SECONDS = 0.25


class LiveView(Callback):  # type: ignore[misc]  # Ray has no types
    """Shows a search as it goes.

    Args:
        info: What it says besides.
        records: The searcher's records.
    """

    def __init__(self, info: ViewInfo, records: Records) -> None:
        self._info = info
        self._records = records
        self._live: Live | None = None
        self._console: Console | None = None
        self._start = 0.0
        self._drawn = 0.0
        self._said = {r.number for r in records.values() if r.fate in OUTCOMES}

    def setup(self, *_: Any, **__: Any) -> None:
        """Begin to show, once."""
        if self._console is not None:
            return
        self._start = time.monotonic()
        self._console = make_console()
        if self._console.is_terminal:
            self._live = Live(self._render(), console=self._console, auto_refresh=False)
            self._live.start()

    def on_step_end(self, **_: Any) -> None:
        """Draw again, now and then: Ray takes a step about every tenth of a second."""
        if self._live is not None and time.monotonic() - self._drawn > _REFRESH_SECONDS:
            self._drawn = time.monotonic()
            self._live.update(self._render(), refresh=True)

    def on_trial_complete(self, **_: Any) -> None:
        """Say how a trial ended."""
        self._say()

    def on_trial_error(self, **_: Any) -> None:
        """Say why a trial failed."""
        self._say()

    def say(self, line: str) -> None:
        """Say something between the trials.

        Args:
            line: For people.
        """
        if self._console is not None:
            self._console.print(line, markup=False, highlight=False)

    def close(self) -> None:
        """Draw for the last time."""
        if self._live is not None:
            self._live.update(self._render(), refresh=True)
            self._live.stop()
            self._live = None
        self._say(closing=True)

    def _say(self, *, closing: bool = False) -> None:
        if self._console is None or self._console.is_terminal:
            return
        for record in self._records.values():
            ended = record.fate in OUTCOMES or (closing and record.fate is not None)
            if ended and record.number not in self._said:
                self._said.add(record.number)
                line = ended_line(self._info, self._records, record, len(self._said))
                self._console.print(line, markup=False, highlight=False)

    def _render(self) -> RenderableType:
        return render(self._info, self._records, time.monotonic() - self._start)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_live": None, "_console": None}


def show_building(console: Console, steps: Iterable[BuildStep]) -> list[BuildStep]:
    """Show how the frozen activations come along: a bar per node and backbone, or lines.

    Args:
        console: Where to show it.
        steps: The progress; consumed.

    Returns:
        The last step of every node and backbone.
    """
    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        expand=True,
        transient=True,
    )
    last: dict[tuple[int, str], BuildStep] = {}
    with bars:
        tasks = {}
        for step in steps:
            place = (step.node, step.role)
            if place not in tasks:
                tasks[place] = bars.add_task(_building(step), total=step.total, rate="")
            rate = f"{step.done / step.seconds:.0f}/s" if step.seconds else ""
            bars.update(tasks[place], completed=step.done, total=step.total, rate=rate)
            last[place] = step
    for line in _built_lines(last.values()):
        console.print(line, highlight=False)
    return list(last.values())


def _building(step: BuildStep) -> str:
    return f"frozen {step.role} layers" + (f", node {step.node}" if step.node else "")


def _built_lines(steps: Iterable[BuildStep]) -> Iterator[str]:
    for step in steps:
        took = "were in the cache" if step.cached else f"took {step.seconds:.1f} s"
        yield f"{_building(step)} of {step.total:,} samples {took}"
