"""The data that a model was trained on, in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from analysis.render.text import format_count, format_percent
from analysis.report.class_colors import looks_of
from analysis.report.figures import Figure, styled

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from analysis.run_folder.run import Run
    from analysis.run_folder.search_record import Split
    from trainables.evaluation.classes import Classes

_MOST_WORDS = 60


@dataclass(frozen=True)
class DataCard:
    """Facts about the data, as name and value pairs, and figures of distributions."""

    facts: tuple[tuple[str, str], ...]
    figures: tuple[Figure, ...]


def data_card(run: Run) -> DataCard:
    """Describe the data of a run; unknown facts are left out."""
    data = run.search.data
    total = sum(data.classes.values()) or 1
    facts = [
        ("labelled", format_count(data.labelled)),
        ("to predict", format_count(data.unlabelled)),
    ]
    for name, count in data.classes.items():
        facts.append((name, f"{format_count(count)} ({format_percent(count / total)})"))
    facts.append(("split", _split(run.search.split)))
    samples = run.samples
    if samples.empty:
        return DataCard(tuple(facts), ())
    facts += _duplicates(samples)
    words = samples["text"].map(lambda text: len(text.split()))
    if words.any():  # a model of images reads none
        facts.append(("words per text", f"{words.median():.0f} median, {words.max()} at most"))
    sizes = _sizes(samples)
    if len(sizes):
        middle = np.median(sizes, axis=0)
        facts.append(("image size", f"{middle[0]:.0f} x {middle[1]:.0f} px median"))
        small = int((sizes.min(axis=1) < 224).sum())
        facts.append(("narrower than 224 px", format_count(small)))
    return DataCard(tuple(facts), (_word_figure(samples, words, run.classes),) * bool(words.any()))


def _split(split: Split) -> str:
    words = f"{split.kind}, {split.folds} fold{'s' if split.folds != 1 else ''}"
    return words + (f", {split.repeats} times" if split.repeats != 1 else "")


def _duplicates(samples: pd.DataFrame) -> list[tuple[str, str]]:
    tied = samples.groupby("group")["tag"].agg(["size", "count", "nunique"])
    repeated = tied[tied["size"] > 1]
    facts = [("in groups of duplicates", f"{format_count(repeated['size'].sum())} samples")]
    mixed = repeated[repeated["nunique"] > 1]
    facts.append(("of these, groups with several labels", format_count(len(mixed))))
    across = repeated[(repeated["count"] > 0) & (repeated["count"] < repeated["size"])]
    return [*facts, ("groups both labelled and to predict", format_count(len(across)))]


def _sizes(samples: pd.DataFrame) -> NDArray[np.int64]:
    columns = ["width", "height"]
    if not set(columns) <= set(samples.columns):  # of an older run
        return np.empty((0, 2), np.int64)
    return samples[columns].dropna().to_numpy(np.int64)


def _word_figure(samples: pd.DataFrame, words: pd.Series[int], classes: Classes) -> Figure:
    plot = go.Figure()
    for name, look in looks_of(classes).items():
        counts = np.bincount(np.minimum(words[samples["tag"] == name], _MOST_WORDS))
        plot.add_bar(
            x=list(range(len(counts))),
            y=counts,
            name=name,
            marker={"color": look.color, "line": {"width": 0}},
            hovertemplate=f"{name}: %{{y}} texts of %{{x}} words<extra></extra>",
        )
    styled(plot, "words", "texts", height=260, barmode="stack", bargap=0.1)
    means = {name: words[samples["tag"] == name].mean() for name in classes.names}
    reading = ", ".join(f"{name} {mean:.1f}" for name, mean in means.items() if mean == mean)
    return Figure("words", "Length of the texts", f"Words on average: {reading}.", plot, 260)
