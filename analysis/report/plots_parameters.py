"""Figures about hyperparameters: importances, and Optuna's own plots in the style of the page."""

from __future__ import annotations

import logging
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import optuna
import plotly.graph_objects as go
from optuna import visualization

from analysis.render.text import format_percent, format_value, heading, readable
from analysis.report.figures import ACCENT, GRID, INK, SCALE, SOFT, Figure, styled
from analysis.report.ticks import settle_ticks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from analysis.run_folder.run import Run

_FEW = 10  # with fewer trials per hyperparameter, importances are mostly noise
_TOP = 4
_STEPS = [f"var(--step-{number})" for number in range(1, 6)]  # from weak to good


def importances_figure(run: Run) -> Figure | None:
    """Plot the importance of each hyperparameter; None if importances were not computed."""
    table = run.importances[run.importances["importance"] > 0].head(12).iloc[::-1]
    if table.empty:
        return None
    plot = go.Figure(
        go.Bar(
            x=100 * table["importance"],
            y=[readable(name) for name in table["parameter"]],
            orientation="h",
            marker={"color": ACCENT},
            hovertemplate="%{y}: %{x:.0f} %<extra></extra>",
        )
    )
    height = 90 + 26 * len(table)
    styled(plot, "share explained, %", "", height=height, bargap=0.35)
    top = table.iloc[-1]
    reading = f"{readable(top['parameter'])} explains {format_percent(top['importance'])}."
    title = "Which hyperparameters mattered"
    return Figure("importances", title, reading[0].upper() + reading[1:], plot, height)


def too_few(run: Run, searched: int) -> str:
    """Return a warning if there are too few trials for importances, else an empty string."""
    scored = int(run.trials["objective"].notna().sum())
    if scored >= _FEW * max(searched, 1):
        return ""
    return (
        f"Read with care: {scored} trials are few for {searched} hyperparameters; "
        f"{_FEW * searched} or more would tell."
    )


def top_parameters(run: Run, searched: Sequence[str], limit: int = _TOP) -> list[str]:
    """Return the most important of the searched hyperparameters; the first of them if unknown."""
    ranked = [name for name in run.importances["parameter"] if name in searched]
    return [*ranked, *(name for name in searched if name not in ranked)][:limit]


def slice_figures(run: Run, study: optuna.Study, top: Sequence[str]) -> list[Figure]:
    """Plot the objective over each of the top hyperparameters."""
    figures, name = [], heading(run.objective)
    for parameter in top:
        with _quiet():
            plot = visualization.plot_slice(study, params=[parameter])
        plot.update_traces(
            marker={
                "colorscale": SCALE,
                "showscale": False,
                "size": 8,
                "line": {"width": 1, "color": INK},
            },
            hovertemplate=f"{readable(parameter)} %{{x}}: {name} %{{y:.4f}}<extra></extra>",
            selector={"type": "scatter"},
        )
        for trace in plot.data:
            trace.marker.color = list(plot.data[0].y)
        styled(plot, "", name, height=240)
        plot.update_layout(margin_b=28)
        settle_ticks(plot)
        best = run.best.params.get(parameter) if run.best else None
        reading = f"The chosen config has {format_value(best)}." if best is not None else ""
        figures.append(Figure(f"slice-{parameter}", readable(parameter), reading, plot, 240))
    return figures


def parallel_figure(run: Run, study: optuna.Study, top: Sequence[str]) -> Figure | None:
    """Plot every trial as a line through its hyperparameters; None if there are fewer than two."""
    if len(top) < 2 or len(study.trials) < 2:
        return None
    with _quiet():
        plot = visualization.plot_parallel_coordinate(study, params=list(top))
    traces = [trace for trace in plot.data if trace.mode == "lines"]
    good = [trace.y[0] if run.larger_is_better else 1 - trace.y[0] for trace in traces]
    plot.data = []
    for place, color in enumerate(_STEPS):
        chosen = [t for t, g in zip(traces, good, strict=True) if _step(g) == place]
        plot.add_scatter(**_joined(chosen), line={"color": color, "width": 1.2 + 0.3 * place})
    plot.update_annotations(font={"color": SOFT, "size": 11})
    plot.update_shapes(line={"color": GRID})
    plot.update_annotations(bgcolor="var(--card)", opacity=0.8)
    heads = [heading(run.objective), *map(readable, sorted(top))]  # Optuna's order, its names cut
    styled(plot, "", "", height=380, margin={"l": 40, "r": 40, "t": 12, "b": 40})
    plot.update_xaxes(ticktext=heads, showline=False, ticks="")
    reading = "Each line is a trial; the better its score, the stronger the line."
    return Figure("parallel", "Every trial through its settings", reading, plot, 380, wide=True)


def contour_figure(run: Run, study: optuna.Study, top: Sequence[str]) -> Figure | None:
    """Plot the objective over the two most important hyperparameters that took several values."""
    pair = [name for name in top if len({t.params.get(name) for t in study.trials}) > 1][:2]
    if len(pair) < 2:
        return None
    with _quiet():
        plot = visualization.plot_contour(study, params=pair)
    plot.update_traces(
        colorscale=SCALE,
        reversescale=not run.larger_is_better,
        line={"width": 0.5, "color": GRID},
        colorbar={"title": {"text": heading(run.objective)}, "thickness": 12, "outlinewidth": 0},
        selector={"type": "contour"},
    )
    plot.update_traces(
        marker={"color": INK, "size": 5, "line": {"width": 1, "color": "var(--card)"}},
        selector={"type": "scatter"},
    )
    styled(plot, readable(plot.layout.xaxis.title.text), readable(plot.layout.yaxis.title.text))
    plot.update_layout(height=360, showlegend=False)
    reading = "Colour between the points is interpolated: a guess, the better the denser they lie."
    return Figure("contour", "The two that mattered most, together", reading, plot, 360)


def _step(good: float) -> int:
    return min(int(good * len(_STEPS)), len(_STEPS) - 1)


def _joined(traces: Sequence[Any]) -> dict[str, Any]:
    """Join the lines of many trials in one trace with gaps, which draws faster."""
    x: list[Any] = []
    y: list[Any] = []
    data: list[Any] = []
    for trace in traces:
        x += [*trace.x, None]
        y += [*trace.y, None]
        data += [*(list(pair) for pair in trace.customdata), ["", ""]]
    template = "%{customdata[0]}: %{customdata[1]}<extra></extra>"
    shared = {"mode": "lines", "showlegend": False, "hovertemplate": template}
    return {"x": x, "y": y, "customdata": data, **shared}


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Optuna's warnings about too few or equal values."""
    logger: Any = logging.getLogger("optuna")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logger.setLevel(level)
