"""What a search looks like: pure functions from its trials to text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from rich.console import Group
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from search.space import distributions
from search.trials import outcomes, ranked
from trainables.objective import mode_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from optuna.distributions import BaseDistribution
    from rich.console import RenderableType

    from search.space import Space
    from search.trials import Records, TrialRecord

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
    """What a view says besides its trials.

    Attributes:
        metric: The objective.
        trials: How many are asked.
        epochs: Epochs of a full trial.
        before: How many were done before this attempt began.
    """

    metric: str
    trials: int
    epochs: int
    before: int = 0


def ended_line(info: ViewInfo, records: Records, record: TrialRecord, ended: int) -> str:
    """Say in one line how a trial ended.

    Args:
        info: What is searched.
        records: All trials.
        record: The trial that ended.
        ended: How many have, this one included.

    Returns:
        The line.
    """
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
    """Draw a search.

    Args:
        info: What it says besides its trials.
        records: The trials so far.
        seconds: Time since it began.

    Returns:
        What to print.
    """
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
    """Name the first hyperparameters of a trial.

    Args:
        params: Values by name, in the order of the space.

    Returns:
        `name value` pairs, in one line.
    """
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
    """Tabulate a search space.

    Args:
        space: The space.
        hand_tuned: The parameters that are tried first.

    Returns:
        One row per hyperparameter.
    """
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("hyperparameter", "range", "hand-tuned"):
        table.add_column(name)
    for name, distribution in distributions(space).items():
        tried = _short(hand_tuned[name]) if name in hand_tuned else ""
        table.add_row(name, _range(distribution), Text(tried, style="green"))
    return table


def _range(distribution: BaseDistribution) -> str:
    if isinstance(distribution, CategoricalDistribution):
        return ", ".join(_short(choice) for choice in distribution.choices)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    words = f"{distribution.low:g} to {distribution.high:g}"
    if distribution.log:
        return f"{words}, log"
    return f"{words} by {distribution.step:g}" if distribution.step not in {None, 1} else words


def clock(seconds: float) -> str:
    """Spell a time.

    Args:
        seconds: The time.

    Returns:
        `M:SS`, or `H:MM:SS`.
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
