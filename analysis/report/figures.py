"""Shared by all figures: style, colours, and a one-line reading below each.

Colours are CSS variables of the page (`var(--accent)`), so that figures follow its theme.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

if TYPE_CHECKING:
    from collections.abc import Mapping

ACCENT, INK, SOFT, GRID = "var(--accent)", "var(--ink)", "var(--soft)", "var(--grid)"
FATE_COLORS: Mapping[str, str] = {
    "finished": ACCENT,
    "stopped": "var(--stopped)",
    "diverged": "var(--negative)",
    "failed": "var(--failed)",
    "interrupted": "var(--neutral)",
}
FATE_SYMBOLS: Mapping[str, str] = {
    "finished": "circle",
    "stopped": "circle-open",
    "interrupted": "x-thin-open",
}
SCALE = [[0, "var(--scale-low)"], [0.5, "var(--scale-middle)"], [1, "var(--scale-high)"]]
"""From low to high scores; monotonic in lightness, for colour-blind readers."""

_SANS = "Inter, ui-sans-serif, system-ui, -apple-system, 'Segoe UI', Roboto, Arial, sans-serif"


@dataclass(frozen=True)
class Figure:
    """One figure of a report.

    Attributes:
        name: Its unique name in the page.
        title: What it shows, in a few words.
        reading: What it tells, in one line.
        height: In pixels.
        wide: Whether it spans the full width, and scrolls on narrow screens.
    """

    name: str
    title: str
    reading: str
    plot: go.Figure
    height: int = 320
    wide: bool = False

    def to_json(self) -> str:
        """Serialise the figure for plotly.js, escaped for a script element."""
        drawn: dict[str, Any] = json.loads(self.plot.to_json())
        drawn["layout"].pop("template", None)
        text = json.dumps({"data": drawn["data"], "layout": drawn["layout"]})
        return text.replace("<", "\\u003c").replace("\u2028", "\\u2028")


def styled(plot: go.Figure, x: str, y: str, *, height: int = 320, **layout: Any) -> go.Figure:
    """Apply the common style to a plot, in place, and return it."""
    plot.update_layout(
        template=None,
        height=height,
        autosize=True,
        title=None,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": _SANS, "size": 13, "color": INK},
        margin={"l": 56, "r": 16, "t": 12, "b": 48},
        hoverlabel={"font": {"family": _SANS, "size": 13}, "align": "left"},
        legend={"orientation": "h", "x": 0, "y": 1, "xanchor": "left", "yanchor": "bottom"},
        dragmode=False,
    )
    axis = {
        "tickfont": {"size": 12},
        "gridcolor": GRID,
        "zeroline": False,
        "linecolor": GRID,
        "automargin": True,
    }
    plot.update_xaxes(**axis, ticks="outside", tickcolor=GRID, showgrid=False)
    plot.update_yaxes(**axis)
    for update, text in ((plot.update_xaxes, x), (plot.update_yaxes, y)):
        update(title={"text": text, "font": {"color": SOFT, "size": 13}, "standoff": 8})
    plot.update_layout(**layout)
    return plot


def band(
    x: list[Any], middle: list[float], spread: list[float], color: str, name: str
) -> go.Scatter:
    """Make a band of half width `spread` around a line, without hover text and legend entry."""
    upper = [m + s for m, s in zip(middle, spread, strict=True)]
    lower = [m - s for m, s in zip(middle, spread, strict=True)]
    return go.Scatter(
        x=[*x, *x[::-1]],
        y=[*upper, *lower[::-1]],
        fill="toself",
        fillcolor=color,
        opacity=0.18,
        line={"width": 0},
        mode="lines",
        hoverinfo="skip",
        showlegend=False,
        legendgroup=name,
    )
