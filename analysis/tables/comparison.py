"""Compare runs in a results table: scores with intervals, and paired differences."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.run_folder.schema import Column, typed
from analysis.tables.reference import published
from trainables.evaluation.classes import SENTIMENTS
from trainables.evaluation.metrics import (
    AVERAGE_SCORES,
    class_scores,
    decision_scores,
    score_of,
)
from trainables.evaluation.resampling import (
    Validated,
    interval,
    paired_bootstrap,
    resampled_scores,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from analysis.run_folder.run import Run

_BEFORE: Mapping[str, Column] = {
    "run": Column("str", "the run's folder, or what was published"),
    "kind": Column("str", "run, or published: a reported result, not one of this program"),
    "model": Column("str", "the model, with its modality where it is not both"),
    "total_parameters": Column("Int64", "parameters of the whole model"),
    "trainable_parameters": Column("Int64", "parameters that trained"),
    "unfrozen_layers": Column("str", "blocks that trained, by tower"),
    "epochs": Column("Int64", "epochs of the scored model: until the best, or as confirmed"),
}
_AFTER: Mapping[str, Column] = {
    "low": Column("float64", "lower end of the 95 % interval of the compared score"),
    "high": Column("float64", "upper end of it"),
    "covers": Column("str", "what the interval covers; empty where the run does not say"),
    "scored": Column("str", "searched: the best of many trials, so optimistic; or confirmed"),
    "seconds": Column("float64", "time of the chosen trial, all its folds and epochs"),
    "samples_per_second": Column("float64", "training samples per second of its epochs"),
    "note": Column("str", "why the scores say nothing about real data; empty where they do"),
}


def compared_scores(runs: Sequence[Run]) -> tuple[str, ...]:
    """Return the scores of decisions of some runs, classes before averages."""
    of_classes = (name for run in runs for name in class_scores(run.classes))
    found = (name for run in runs for name in decision_scores(run.classes))
    rest = (name for name in (*AVERAGE_SCORES, *found) if score_of(name).of_class is None)
    return tuple(dict.fromkeys([*of_classes, *rest]))


def columns_of(compared: Sequence[str]) -> dict[str, Column]:
    """Describe `Comparison.rows`, given the scores that are compared; return its columns."""
    scores = {name: Column("float64", score_of(name).meaning) for name in compared}
    return {**_BEFORE, **scores, **_AFTER}


PAIRS: Mapping[str, Column] = {
    "run": Column("str", "a run"),
    "other": Column("str", "a run that was validated on the same samples and folds"),
    "scored": Column("str", "confirmed, where both runs were on the same folds; or searched"),
    "difference": Column("float64", "its score less the other's"),
    "low": Column("float64", "lower end of the difference's 95 % interval"),
    "high": Column("float64", "upper end of it"),
    "p_value": Column("float64", "two-sided, by the paired bootstrap"),
}
"""Columns of `Comparison.pairs`."""


@dataclass(frozen=True)
class Comparison:
    """Several runs, compared.

    Attributes:
        rows: One row per run, best first, then published results; columns as `columns_of` says.
        pairs: One row per two runs on the same samples and folds; columns `PAIRS`.
        metric: The score by which runs are sorted and compared.
        compared: The scores in the rows, in order.
    """

    rows: pd.DataFrame
    pairs: pd.DataFrame
    metric: str
    compared: tuple[str, ...]


def compare_runs(
    runs: Sequence[Run], *, metric: str = "weighted_f1", reference: bool = True
) -> Comparison:
    """Compare runs.

    Args:
        runs: The runs; one without a scored trial has a row without scores.
        metric: The score to sort by and to give intervals for, one of
            `compared_scores`.
        reference: Whether to add published results, beside runs of the same classes.

    Returns:
        The comparison.

    Raises:
        ValueError: If the metric is not one of `compared_scores`.
    """
    compared = compared_scores(runs)
    if metric not in compared:
        near = sorted(compared, key=lambda name: -SequenceMatcher(None, name, metric).ratio())
        msg = f"metric must be one of {', '.join(near)}, got {metric!r}"
        raise ValueError(msg)
    named = dict(zip(_names(runs), runs, strict=True))
    predictions = {name: _predictions(run) for name, run in named.items()}
    columns = columns_of(compared)
    found = [{"run": name, **_row(run, predictions[name], metric)} for name, run in named.items()]
    rows = pd.DataFrame(found, columns=list(columns))
    rows = rows.sort_values(metric, ascending=False, na_position="last", kind="stable")
    if reference and any(run.classes == SENTIMENTS for run in runs):
        rows = pd.concat([rows, published().assign(kind="published")])
    rows = typed(rows.reindex(columns=list(columns)).reset_index(drop=True), columns)
    text = [name for name, column in columns.items() if column.dtype == "str"]
    rows[text] = rows[text].fillna("")
    return Comparison(rows, _pairs(named, predictions, metric), metric, compared)


def _names(runs: Sequence[Run]) -> list[str]:
    """Name runs by their folders, with as many parent folders as make the names unique."""
    paths = [run.folder.path for run in runs]
    for depth in range(1, max(len(path.parts) for path in paths) + 1 if paths else 1):
        names = ["/".join(path.parts[-depth:]) for path in paths]
        if len(set(names)) == len(set(paths)):
            return names
    return []


def _predictions(run: Run) -> dict[str, Validated]:
    """Return a run's held-out predictions, keyed by `confirmed` and `searched`."""
    if run.best is None:
        return {}
    found = {"confirmed": run.reported, "searched": run.validated(run.best.trial)}
    return {scored: made for scored, made in found.items() if made is not None}


def _row(run: Run, predictions: Mapping[str, Validated], metric: str) -> dict[str, Any]:
    row: dict[str, Any] = {
        "kind": "run",
        "model": model_of(run),
        "note": note_of(run),
    }
    compared = decision_scores(run.classes)
    if run.best is None:
        return row
    alone = run.best.confirmed
    confirmed = run.best.shipped_ensemble or alone
    scores = {**run.best.scores, **(confirmed.scores if confirmed else {})}
    row["scored"] = "confirmed" if confirmed else "searched"
    validated = predictions.get(row["scored"])
    for name in compared:  # the record of an older run may lack some
        row[name] = scores.get(f"val_{name}")
        if row[name] is None and validated is not None:
            row[name] = validated.score(name)
    if confirmed and run.objective == f"val_{metric}":
        row["low"], row["high"] = confirmed.interval
        row["covers"] = confirmed.covers
    elif validated is not None and metric in compared:
        row["low"], row["high"] = interval(resampled_scores(metric, [validated])[0])
        row["covers"] = validated.covers
    unfrozen = {
        name.removesuffix("_unfrozen_layers"): value
        for name, value in run.best.params.items()
        if name.endswith("unfrozen_layers")
    }
    row["unfrozen_layers"] = ", ".join(f"{tower} {count}" for tower, count in unfrozen.items())
    row["epochs"] = (alone and alone.epochs) or run.best.best_epoch
    return row | _costs(run)


def _costs(run: Run) -> dict[str, Any]:
    assert run.best is not None
    trial = run.best.trial
    history = run.history[run.history["trial"] == trial]
    ended = run.trials[run.trials["trial"] == trial]
    costs: dict[str, Any] = {"seconds": ended["seconds"].iloc[0] if len(ended) else None}
    if history.empty:
        return costs
    for name in ("total_parameters", "trainable_parameters"):
        costs[name] = history[name].iloc[-1] if name in history else None
    if "epoch_seconds" in history:
        trained = sum(run.search.split.train) * len(history)
        costs["samples_per_second"] = trained / history["epoch_seconds"].sum()
    return costs


def model_of(run: Run) -> str:
    """Return the name of a run's variant, with its modality unless it is both."""
    modality = run.search.modality
    return run.search.model + (f", {modality} only" if modality != "both" else "")


def note_of(run: Run) -> str:
    """Return why a run's scores are meaningless for real data; empty if they are not."""
    reasons = ["demo data"] * run.search.data.is_demo
    random = run.search.random_backbones
    return ", ".join(reasons + [f"random weights ({', '.join(random)})"] * bool(random))


def _pairs(
    named: Mapping[str, Run], predictions: Mapping[str, Mapping[str, Validated]], metric: str
) -> pd.DataFrame:
    rows = []
    for run, other in combinations(named, 2):
        if named[run].search.data.digest != named[other].search.data.digest:
            continue
        both = [scored for scored in predictions[run] if scored in predictions[other]]
        alike = [s for s in both if _same_samples(predictions[run][s], predictions[other][s])]
        if alike:  # `confirmed` comes first, as the better estimate
            found = paired_bootstrap(
                metric, predictions[run][alike[0]], predictions[other][alike[0]]
            )
            estimate = found.difference, *found.interval, found.p_value
            rows.append((run, other, alike[0], *estimate))
    return typed(pd.DataFrame(rows, columns=list(PAIRS)), PAIRS)


def _same_samples(mine: Validated, theirs: Validated) -> bool:
    return np.array_equal(mine.rows, theirs.rows) and np.array_equal(mine.parts, theirs.parts)
