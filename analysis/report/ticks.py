"""Ticks of small plots: few enough for their labels to stand apart."""

from __future__ import annotations

import ast
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import plotly.graph_objects as go

_MOST = 3
_SHORT = 5  # characters of a label
_MOST_WHOLE = 5  # of one or two


def settle_ticks(plot: go.Figure) -> None:
    """Give the horizontal axis of a plot with points few ticks, in place.

    Logarithms have round values, whole numbers themselves, and choices their bare names.
    """
    values = [value for trace in plot.data for value in trace.x if value is not None]
    if plot.layout.xaxis.type == "log" and values:
        ticks = log_ticks(min(values), max(values))
        plot.update_xaxes(tickvals=ticks, ticktext=_written(ticks), tickangle=0)
    elif plot.layout.xaxis.type == "category":
        for trace in plot.data:
            trace.x = [_bare(label) for label in trace.x]
        order = plot.layout.xaxis.categoryarray or ()
        plot.update_xaxes(categoryarray=[_bare(label) for label in order])
    elif values and all(isinstance(value, int) for value in values):
        low, high = min(values), max(values)
        if high - low < _MOST_WHOLE:
            plot.update_xaxes(tickvals=list(range(low, high + 1)))


def log_ticks(low: float, high: float) -> list[float]:
    """Choose up to three values of a logarithmic axis, round ones where two of them fit.

    Args:
        low: The lowest value shown, positive.
        high: The highest.

    Returns:
        The values, in order.
    """
    for candidates in _rounder(math.floor(math.log10(low)), math.ceil(math.log10(high))):
        inside = [value for value in candidates if low <= value <= high]
        if len(inside) <= _MOST:
            break
    return inside if len(inside) > 1 else sorted({low, high})


def _rounder(first: int, last: int) -> Iterator[list[float]]:
    """Yield fewer and fewer round values that span powers of ten, both included."""
    for factors in ((1, 2, 5), (1, 3), (1,)):
        powers = range(first, last + 1)
        yield [float(f"{factor}e{power}") for power in powers for factor in factors]
    for step in range(2, last - first + 2):
        yield [float(f"1e{power}") for power in range(first, last + 1) if power % step == 0]


def _written(ticks: Sequence[float]) -> list[str]:
    """Write ticks alike: as decimals where these are short, else with powers of ten."""
    texts = [f"{tick:.2g}" for tick in ticks]
    if max(map(len, texts)) <= _SHORT:
        return texts
    parts = [f"{tick:.1e}".replace(".0e", "e").partition("e") for tick in ticks]
    return [f"{factor}e{int(power)}" for factor, _, power in parts]


def _bare(label: Any) -> Any:
    """Take the quotes off a choice that is a string, which Optuna writes as Python does."""
    try:
        value = ast.literal_eval(label)
    except (ValueError, SyntaxError):
        return label
    return value if isinstance(value, str) else label
