"""The live view of a search: one panel in a terminal or notebook, else a line per ended trial.

Ray pickles its callbacks, and a live view holds locks: it is made in `setup` and never pickled.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from ray.tune import Callback
from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from analysis.program import make_console
from search.console.notebook import NotebookView
from search.study.trial import OUTCOMES, outcomes, ranked
from trainables.evaluation.metrics import mode_of
from trainables.hyperparameter import Choices, FloatRange, IntRange

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping

    from rich.console import Console, RenderableType

    from analysis.run_folder.search_record import ActivationBuild
    from search.study.trial import Records, TrialRecord
    from spaces.space import Space
    from trainables.hyperparameter import Domain


_REFRESH_SECONDS = 0.25


class LiveView(Callback):  # type: ignore[misc]  # Ray has no types
    """Shows a search as it runs; `info` says the rest."""

    def __init__(self, info: ViewInfo, records: Records) -> None:
        self._info = info
        self._records = records
        self._live: Live | NotebookView | None = None
        self._console: Console | None = None
        self._prints = False
        self._start = 0.0
        self._drawn = 0.0
        self._printed = {r.number for r in records.values() if r.fate in OUTCOMES}

    def setup(self, *_: Any, **__: Any) -> None:
        """Begin to show, once."""
        if self._console is not None:
            return
        self._start = time.monotonic()
        self._console = make_console()
        if self._console.is_jupyter:
            self._live = NotebookView(self._render())
        elif self._console.is_terminal:
            self._live = Live(self._render(), console=self._console, auto_refresh=False)
        self._prints = self._live is None
        if self._live is not None:
            self._live.start()

    def on_step_end(self, **_: Any) -> None:
        """Draw again after a while: Ray takes about ten steps per second."""
        if self._live is not None and time.monotonic() - self._drawn > _REFRESH_SECONDS:
            self._drawn = time.monotonic()
            self._live.update(self._render(), refresh=True)

    def on_trial_complete(self, **_: Any) -> None:
        """Say how a trial ended."""
        self._print_ended()

    def on_trial_error(self, **_: Any) -> None:
        """Say why a trial failed."""
        self._print_ended()

    def say(self, line: str) -> None:
        """Print a line for people between the trials."""
        if self._console is not None:
            self._console.print(line, markup=False, highlight=False)

    def close(self) -> None:
        """Draw for the last time."""
        if self._live is not None:
            self._live.update(self._render(), refresh=True)
            self._live.stop()
            self._live = None
        self._print_ended(closing=True)

    def _print_ended(self, *, closing: bool = False) -> None:
        if self._console is None or not self._prints:
            return
        for record in self._records.values():
            ended = record.fate in OUTCOMES or (closing and record.fate is not None)
            if ended and record.number not in self._printed:
                self._printed.add(record.number)
                line = ended_line(self._info, self._records, record, len(self._printed))
                self._console.print(line, markup=False, highlight=False)

    def _render(self) -> RenderableType:
        return render(self._info, self._records, time.monotonic() - self._start)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_live": None, "_console": None}


def show_building(console: Console, steps: Iterable[ActivationBuild]) -> list[ActivationBuild]:
    """Show the building of the frozen activations: a bar per node and backbone, or lines.

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
    last: dict[tuple[int, str], ActivationBuild] = {}
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


def _building(step: ActivationBuild) -> str:
    return f"frozen {step.role} layers" + (f", node {step.node}" if step.node else "")


def _built_lines(steps: Iterable[ActivationBuild]) -> Iterator[str]:
    for step in steps:
        took = "were in the cache" if step.cached else f"took {step.seconds:.1f} s"
        yield f"{_building(step)} of {step.total:,} samples {took}"


_ROWS = 8
_PARAMS = 6  # the first of a space: by convention those that matter most
_STYLES = {
    "running": "cyan",
    "finished": "green",
    "stopped": "yellow",
    "diverged": "red",
    "failed": "bold red",
    "interrupted": "dim",
}


@dataclass(frozen=True)
class ViewInfo:
    """What a view shows besides its trials.

    Attributes:
        metric: The objective.
        trials: The number asked for.
        epochs: Epochs of a full trial.
        before: The number of trials done before this attempt began.
    """

    metric: str
    trials: int
    epochs: int
    before: int = 0


def ended_line(info: ViewInfo, records: Records, record: TrialRecord, ended: int) -> str:
    """Say in one line how a trial ended; `ended` counts those that have, this one included."""
    mode = mode_of(info.metric)
    words = f"[{ended}/{info.trials}] trial {record.number} {record.fate}"
    if record.epochs:
        words += f" after {record.epochs} epoch{'s' * (record.epochs > 1)}"
    if (own := record.best(mode)) is not None:
        words += f": {info.metric} {own[1]:.4f}"
    if record.error:
        words += f": {record.error}"
    if order := ranked(records, mode):
        score = (order[0].best(mode) or (0, 0.0))[1]
        words += f" (best {score:.4f}, trial {order[0].number})"
    return words


def render(info: ViewInfo, records: Records, seconds: float) -> RenderableType:
    """Draw a search after so many seconds."""
    lines = [_bar(info, records, seconds), _counts(records), *_best(info, records)]
    if records:
        lines.append(_table(info, records))
    return Group(*lines)


def _bar(info: ViewInfo, records: Records, seconds: float) -> RenderableType:
    ended = outcomes(records)
    # A running trial counts by its epochs, but never as done: ASHA may end it at any.
    begun = sum(0.9 * r.epochs / info.epochs for r in records.values() if r.fate is None)
    work = ended + begun
    new = work - info.before
    left = f"{clock(seconds / new * (info.trials - work))} left" if new and ended else "…"
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column()
    grid.add_column(ratio=1)
    grid.add_column(justify="right")
    grid.add_row(
        Text(f"{ended}/{info.trials} trials"),
        ProgressBar(total=info.trials, completed=work),
        Text(f"{clock(seconds)} · {left}" if ended < info.trials else clock(seconds)),
    )
    return grid


def _counts(records: Records) -> Text:
    fates: list[str] = [record.fate or "running" for record in records.values()]
    text = Text()
    for name, style in _STYLES.items():
        count = fates.count(name)
        if count or name in {"running", "finished", "stopped"}:
            text.append(" · " if text else "", style="dim").append(f"{count} {name}", style=style)
    return text


def _best(info: ViewInfo, records: Records) -> list[RenderableType]:
    mode = mode_of(info.metric)
    order = ranked(records, mode)
    if not order:
        return []
    epoch, score = order[0].best(mode) or (0, 0.0)
    text = Text.assemble(
        f"best {info.metric} ",
        (f"{score:.4f}", "bold green"),
        f" by trial {order[0].number} at epoch {epoch}",
        " (hand-tuned)" if order[0].hand_tuned else "",
    )
    return [text, Text(short_params(order[0].params), style="dim")]


def short_params(params: Mapping[str, Any]) -> str:
    """Format the first hyperparameters of a trial as `name value` pairs, in one line."""
    shown = [f"{name} {_short(value)}" for name, value in list(params.items())[:_PARAMS]]
    return " · ".join(shown + ["…"] * (len(params) > _PARAMS))


def _table(info: ViewInfo, records: Records) -> Table:
    mode = mode_of(info.metric)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", expand=True)
    for name in ("trial", "epoch", "now", "best", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True, overflow="ellipsis", ratio=1)
    running = [record for record in records.values() if record.fate is None]
    ended = [record for record in records.values() if record.fate is not None]
    room = max(3, _ROWS - len(running))
    for record in [*ended[-room:], *running]:
        fate, best = record.fate or "running", record.best(mode)
        now = record.scores.get(record.epochs)
        note = f"{fate}: {record.error}" if record.error else fate
        table.add_row(
            str(record.number),
            f"{record.epochs}/{info.epochs}",
            "" if now is None else f"{now:.4f}",
            "" if best is None else f"{best[1]:.4f}",
            clock(record.seconds),
            Text(note + (" (hand-tuned)" if record.hand_tuned else ""), style=_STYLES[fate]),
        )
    return table


def space_table(space: Space, hand_tuned: Mapping[str, Any]) -> Table:
    """Tabulate a search space, one row per hyperparameter, beside the values tried first."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("hyperparameter", "range", "hand-tuned"):
        table.add_column(name)
    for name, domain in space.domains.items():
        tried = _short(hand_tuned[name]) if name in hand_tuned else ""
        table.add_row(name, _domain(domain), Text(tried, style="green"))
    return table


def _domain(domain: Domain) -> str:
    match domain:
        case Choices(values):
            return ", ".join(map(_short, values))
        case FloatRange(low, high, log):
            return f"{low:g} to {high:g}" + ", log" * log
        case IntRange(low, high, step):
            return f"{low:g} to {high:g}" + f" by {step:g}" * (step != 1)


def clock(seconds: float) -> str:
    """Format seconds as `M:SS`, or `H:MM:SS`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


Result = TypeVar("Result")


def follow(
    console: Console, words: str, results: Iterable[Result], total: int
) -> Generator[Result, None, None]:
    """Show progress while `total` results come in, and pass them on; show nothing if it is 0."""
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
