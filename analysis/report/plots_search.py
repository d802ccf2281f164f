"""Figures about the search: best score over trials, early stopping, time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from analysis.render.text import format_count, format_duration, format_percent, heading
from analysis.report.figures import (
    FATE_COLORS,
    FATE_SYMBOLS,
    INK,
    SOFT,
    Figure,
    styled,
)
from analysis.tables.search import budget, progress, rungs

if TYPE_CHECKING:
    import pandas as pd

    from analysis.run_folder.run import Run

_BAR = 0.75  # of the height of a trial
_LOW_QUANTILE = 0.02  # failed trials would compress the range of all others


def history_figure(run: Run) -> Figure | None:
    """Plot every trial's objective and the best so far; None without a scored trial."""
    table, name = progress(run), heading(run.objective)
    if table.empty:
        return None
    plot = go.Figure()
    for fate, group in table.groupby("fate", observed=True):
        plot.add_scatter(
            x=group["trial"],
            y=group["objective"],
            mode="markers",
            name=str(fate),
            marker={
                "color": FATE_COLORS[str(fate)],
                "symbol": FATE_SYMBOLS.get(str(fate), "circle"),
                "size": 8 if len(table) < 200 else 5,
                "line": {"width": 1.5},
            },
            hovertemplate=f"trial %{{x}}: {name} %{{y:.4f}}<extra>{fate}</extra>",
        )
    plot.add_scatter(
        x=table["trial"],
        y=table["best"],
        mode="lines",
        name="best so far",
        line={"shape": "hv", "color": INK, "width": 2},
        hoverinfo="skip",
    )
    styled(plot, "trial", name, yaxis_range=_view(run, table["objective"]))
    gains = table.loc[table["best"] != table["best"].shift(), "trial"]
    last, ended = int(gains.iloc[-1]), int(table["trial"].iloc[-1])
    reading = f"The last gain came with trial {last} of {ended + 1}"
    reading += "." if last < 0.8 * ended else ": more trials may still find better."
    return Figure("history", "Best so far, trial by trial", reading, plot)


def _view(run: Run, scores: pd.Series[float]) -> list[float]:
    low, high = float(scores.min()), float(scores.max())
    if len(scores) >= 20:
        low, high = (
            (float(scores.quantile(_LOW_QUANTILE)), high)
            if run.larger_is_better
            else (low, float(scores.quantile(1 - _LOW_QUANTILE)))
        )
    room = 0.06 * (high - low) or 0.01
    return [low - room, high + room]


def stopping_figure(run: Run) -> Figure | None:
    """Plot every trial's objective by epoch, and ASHA's rungs; None without a history."""
    if run.history.empty or run.objective not in run.history:
        return None
    fates = run.trials.set_index("trial")["fate"].astype(str)
    history = run.history[run.history["trial"].isin(fates.index)].sort_values(["trial", "epoch"])
    if history.empty:
        return None
    plot, name = go.Figure(), heading(run.objective)
    for fate, group in history.groupby(history["trial"].map(fates)):
        plot.add_scatter(
            **_lines(group, run.objective),
            mode="lines+markers" if len(fates) <= 60 else "lines",
            name=str(fate),
            line={"color": FATE_COLORS[str(fate)], "width": 1},
            marker={"size": 4},
            opacity=1 if len(fates) <= 60 else 0.5,
            hovertemplate=f"trial %{{customdata}}, epoch %{{x}}: {name} %{{y:.4f}}<extra></extra>",
        )
    table = rungs(run)
    for epoch in table["epoch"]:
        plot.add_vline(epoch, line={"color": SOFT, "width": 1, "dash": "dot"})
    styled(plot, "epoch", name, yaxis_range=_view(run, history[run.objective]))
    plot.update_xaxes(dtick=max(1, int(history["epoch"].max()) // 10))
    return Figure("stopping", "Which trials were allowed to go on", _saved(run, table), plot)


def _lines(group: pd.DataFrame, column: str) -> dict[str, list[object]]:
    """Join the lines of many trials in one trace with gaps, which draws faster."""
    x: list[object] = []
    y: list[object] = []
    names: list[object] = []
    for trial, rows in group.groupby("trial"):
        x += [*rows["epoch"], None]
        y += [*np.round(rows[column], 4), None]
        names += [trial] * (len(rows) + 1)
    return {"x": x, "y": y, "customdata": names}


def _saved(run: Run, table: pd.DataFrame) -> str:
    epochs = run.search.settings.tuning.epochs
    if table.empty or not epochs:
        return "Nothing stopped trials early."
    trained, full = int(run.trials["epochs"].sum()), int(epochs) * len(run.trials)
    stopped = int(table["stopped"].sum())
    return (
        f"{stopped} of {len(run.trials)} trials were stopped at a rung (dotted); "
        f"{format_count(trained)} of {format_count(full)} epochs were trained, "
        f"{format_percent(1 - trained / full)} saved."
    )


def budget_figure(run: Run) -> Figure | None:
    """Plot the time of the trials by fate; None without a finished trial."""
    table = budget(run)
    if table.empty or not table["seconds"].sum():
        return None
    plot = go.Figure()
    rows = table.to_dict("records")
    for row in rows:
        fate, count = row["fate"], row["trials"]
        plot.add_bar(
            y=["time", "trials"],
            x=[100 * row["share"], 100 * count / table["trials"].sum()],
            orientation="h",
            name=fate,
            marker={"color": FATE_COLORS[fate], "line": {"width": 0}},
            customdata=[[format_duration(row["seconds"]), fate], [f"{count} trials", fate]],
            hovertemplate="%{customdata[1]}: %{customdata[0]}, %{x:.0f} %<extra></extra>",
        )
    styled(plot, "share, %", "", height=190, barmode="stack", bargap=0.35)
    plot.update_xaxes(range=[0, 100])
    parts = [
        f"{format_percent(row['share'])} on {row['trials']} that {_ENDED[row['fate']]}"
        for row in rows
    ]
    return Figure("budget", "Where the time went", f"Of the time, {', '.join(parts)}.", plot, 190)


_ENDED = {
    "finished": "finished",
    "stopped": "were stopped",
    "diverged": "diverged",
    "failed": "failed",
    "interrupted": "were cut off",
}


def timeline_figure(run: Run, times: pd.DataFrame, facts: dict[str, float]) -> Figure | None:
    """Plot when each trial ran; None if times were not kept."""
    if times.empty or "utilisation" not in facts:
        return None
    begin = times["start"].min()
    fates = run.trials.set_index("trial")["fate"].astype(str)
    plot = go.Figure()
    for fate, group in times.groupby(times["trial"].map(fates)):
        start = (group["start"] - begin).dt.total_seconds() / 60
        length = (group["end"] - group["start"]).dt.total_seconds() / 60
        plot.add_bar(
            y=group["trial"],
            x=length,
            base=start,
            width=_BAR,  # else a fate with few trials would have the broader bars
            orientation="h",
            name=str(fate),
            marker={"color": FATE_COLORS[str(fate)], "line": {"width": 0}},
            hovertemplate=f"trial %{{y}}: %{{x:.1f}} min<extra>{fate}</extra>",
        )
    styled(plot, "minutes since the first trial began", "trial", barmode="overlay")
    ends = times["trial"].max() + 0.5, times["trial"].min() - 0.5  # the first at the top
    plot.update_yaxes(range=ends, dtick=max(1, len(times) // 8))
    reading = (
        f"{facts['trials_per_hour']:.0f} trials an hour; a trial ran in "
        f"{format_percent(facts['utilisation'])} of the slots' time."
    )
    return Figure("timeline", "When each trial ran", reading, plot)
