"""Figures about the chosen config: learning curves, calibration, threshold."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import plotly.graph_objects as go

from analysis.render.text import heading
from analysis.report.class_colors import looks_of
from analysis.report.figures import ACCENT, INK, SOFT, Figure, band, styled
from analysis.tables.search import learning_curve
from trainables.evaluation.calibration import reliability
from trainables.evaluation.metrics import WORST, decision_score
from trainables.evaluation.threshold import threshold_curve

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from analysis.run_folder.run import Run
    from trainables.evaluation.classes import Classes
    from trainables.evaluation.resampling import Validated

_POINTS = 400  # more steps would not be visible
_FITTING = 5  # lines whose legend fits above a plot of usual height
_LEGEND_ROW = 24  # pixels of more
_SURE = 0.05  # calibration errors above this are worth a warning


def _lines(classes: Classes) -> dict[str, tuple[str, str]]:
    """Return colour and dash of the line of each score, by name."""
    return {
        "weighted_f1": (INK, "solid"),
        "macro_f1": (SOFT, "dash"),
        **{f"f1_{tag}": (look.color, "solid") for tag, look in looks_of(classes).items()},
    }


def loss_figure(run: Run, trial: int) -> Figure | None:
    """Plot a trial's losses by epoch, with their spread over folds; None without its history."""
    table = learning_curve(run, trial)
    if table.empty or "val_loss" not in table or "train_loss" not in table:
        return None
    lines = {"train_loss": ("training", SOFT), "val_loss": ("validation", ACCENT)}
    plot = _curves(table, lines)
    styled(plot, "epoch", "loss", height=280)
    plot.update_xaxes(dtick=max(1, len(table) // 8))
    lowest = int(table["epoch"].iloc[table["val_loss"].argmin()])
    last = int(table["epoch"].iloc[-1])
    reading = f"Validation loss is lowest at epoch {lowest} of {last}"
    reading += (
        ": later epochs only learn by heart." if lowest < last else ": it was still falling."
    )
    return Figure("loss", f"Losses of trial {trial}", reading, plot, 280)


def score_figure(run: Run, trial: int) -> Figure | None:
    """Plot a trial's scores by epoch, with their spread over folds; None without its history."""
    table = learning_curve(run, trial)
    lines = {f"val_{name}": look for name, look in _lines(run.classes).items()}
    kept = {name: look for name, look in lines.items() if name in table}
    if table.empty or not kept:
        return None
    names = {name: heading(name) for name in kept}
    plot = _curves(table, {name: (names[name], color) for name, (color, _) in kept.items()})
    height = 280 + _LEGEND_ROW * max(0, math.ceil((len(kept) - _FITTING) / 2))
    styled(plot, "epoch", "score", height=height)
    plot.update_xaxes(dtick=max(1, len(table) // 8))
    fallback = run.classes.fallback_name
    name = f"val_{WORST}" if fallback is None else f"val_f1_{fallback}"
    name = name if name in table else next(iter(kept))
    folds = run.search.split.folds
    bands = f" Bands are one standard deviation over {folds} folds." if folds > 1 else ""
    reading = heading(name)
    reading = f"{reading[0].upper()}{reading[1:]} ends at {table[name].iloc[-1]:.3f}.{bands}"
    return Figure("scores", f"Scores of trial {trial}", reading, plot, height)


def _curves(table: Any, lines: Mapping[str, tuple[str, str]]) -> go.Figure:
    plot, epochs = go.Figure(), table["epoch"].tolist()
    for column, (name, color) in lines.items():
        spread = table.get(f"{column}_std")
        if spread is not None and spread.notna().all() and (spread > 0).any():
            plot.add_trace(band(epochs, table[column].tolist(), spread.tolist(), color, name))
        plot.add_scatter(
            x=epochs,
            y=table[column],
            name=name,
            legendgroup=name,
            mode="lines+markers",
            line={"color": color, "width": 2},
            marker={"size": 5},
            hovertemplate=f"epoch %{{x}}: {name} %{{y:.4f}}<extra></extra>",
        )
    return plot


def reliability_figure(validated: Validated, temperature: float | None) -> Figure:
    """Plot accuracy by confidence; `temperature` is that of the final model, if any."""
    bins = reliability(validated.labels, validated.probabilities, bins=10)
    plot, chance = go.Figure(), 1 / len(validated.classes)
    plot.add_scatter(
        x=[chance, 1],
        y=[chance, 1],
        mode="lines",
        name="as sure as right",
        line={"color": SOFT, "width": 1.5, "dash": "dash"},
        hoverinfo="skip",
    )
    largest = int(bins.counts.max())
    plot.add_scatter(
        x=bins.confidence,
        y=bins.accuracy,
        customdata=bins.counts,
        mode="lines+markers",
        name="this model",
        line={"color": ACCENT, "width": 2},
        marker={"size": [6 + 14 * (count / largest) ** 0.5 for count in bins.counts]},
        cliponaxis=False,
        hovertemplate="%{customdata} samples: sure %{x:.0%}, right %{y:.0%}<extra></extra>",
    )
    styled(plot, "how sure (largest probability)", "how often right", height=320)
    plot.update_xaxes(tickformat=".0%", range=[0.9 * chance, 1.02])
    plot.update_yaxes(tickformat=".0%", range=[0, 1.02])
    error = bins.expected_error
    sure = float(bins.confidence @ bins.counts / bins.counts.sum())
    right = float(bins.accuracy @ bins.counts / bins.counts.sum())
    way = "overconfident" if sure > right else "underconfident"
    reading = f"Expected calibration error {error:.3f}: " + (
        f"on the whole {way}." if error > _SURE else "probabilities mean what they say."
    )
    if temperature is not None and temperature != 1:
        reading += f" The final model divides logits by {temperature:.2f} to mend it."
    return Figure("reliability", "Is it as sure as it is right?", reading, plot)


def threshold_figure(
    validated: Validated, metric: str, searched: float | None, shipped: float | None
) -> Figure | None:
    """Plot scores by the threshold of the fallback class.

    Args:
        validated: Held-out predictions.
        metric: The objective, without `val_`.
        searched: The trial's threshold; None if it has none.
        shipped: The threshold of the final model; None if it has none.

    Returns:
        The figure; None without a fallback class.
    """
    classes = validated.classes
    fallback = classes.fallback_name
    if fallback is None:
        return None
    lowest = 1 / len(classes)  # lower thresholds never change a decision
    curve = threshold_curve(validated.labels, validated.probabilities, classes)
    kept = [i for i, t in enumerate(curve.thresholds) if t >= lowest] or [0]
    kept = kept[:: max(1, len(kept) // _POINTS)]
    plot = go.Figure()
    for name in dict.fromkeys([metric, "macro_f1", f"f1_{fallback}"]):
        if name not in curve.scores:
            continue
        color, dash = _lines(classes).get(name, (ACCENT, "solid"))
        plot.add_scatter(
            x=curve.thresholds[kept].round(4),
            y=curve.scores[name][kept].round(4),
            mode="lines",
            name=heading(name),
            line={"color": color, "width": 2, "dash": dash, "shape": "vh"},
            hovertemplate=f"threshold %{{x:.3f}}: {heading(name)} %{{y:.4f}}<extra></extra>",
        )
    styled(plot, f"{fallback} threshold", "score")
    marks = [(searched, "searched"), (shipped, "shipped")]
    if searched is not None and shipped is not None and f"{searched:.2f}" == f"{shipped:.2f}":
        marks = [(shipped, "searched and shipped")]
    for row, (value, label) in enumerate(marks):
        if value is not None and value >= lowest:
            _mark(plot, value, label, row)
    name = decision_score(metric)
    best, score = curve.best(name)
    reading = f"{heading(name)} would be best, {score:.4f}, at {best:.3f}"
    reading += " on these very samples, which flatters it."
    if best < lowest:
        reading = "no threshold beats saying what is likeliest."
    reading = reading[0].upper() + reading[1:]
    return Figure("threshold", f"When to say {fallback}", reading, plot)


def _mark(plot: go.Figure, value: float, label: str, row: int) -> None:
    plot.add_vline(value, line={"color": ACCENT, "width": 1.5, "dash": "dot"})
    plot.add_annotation(
        x=value,
        y=0.02 + 0.09 * row,  # of the height, so that words on neighbours do not overlap
        yref="paper",
        text=f" {label} {value:.2f}",
        xanchor="left",
        showarrow=False,
        font={"color": ACCENT},
    )
