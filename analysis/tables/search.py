"""Tables about one search: pure functions of a run, each the data of one figure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.run_folder.folder import FATES
from trainables.evaluation.metrics import is_score
from trainables.evaluation.resampling import interval, resampled_scores
from trainables.evaluation.scores import confusion

if TYPE_CHECKING:
    from analysis.run_folder.run import Run
    from trainables.evaluation.resampling import Validated

_DRAWS = 1000  # enough for a 95 % interval, and fast for twenty configs
_SEED = 0


def progress(run: Run) -> pd.DataFrame:
    """Compute the best objective so far, trial by trial.

    Returns:
        Columns `trial`, `fate`, `objective`, `hand_tuned`, and `best`: the best objective up to
        and including this trial. Trials without a score are left out.
    """
    scored = run.trials[run.trials["objective"].notna() & ~_broken(run)]
    table = scored[["trial", "fate", "objective", "hand_tuned"]].sort_values("trial")
    best = table["objective"].cummax() if run.larger_is_better else table["objective"].cummin()
    return table.assign(best=best).reset_index(drop=True)


def _broken(run: Run) -> pd.Series[bool]:
    return run.trials["fate"].isin(["diverged", "failed"])


def rung_epochs(run: Run) -> list[int]:
    """Return the epochs of ASHA's rungs, ascending; empty without ASHA."""
    tuning = run.search.settings.tuning
    epochs, factor = tuning.epochs, tuning.reduction_factor
    if not (epochs and factor and run.search.grace_epochs):
        return []
    found, rung = [], float(run.search.grace_epochs)
    while rung < epochs:
        found.append(math.ceil(rung))
        rung *= factor
    return found


def rungs(run: Run) -> pd.DataFrame:
    """Count trials by rung of ASHA: columns `epoch`, `reached`, `stopped`, `went_on`."""
    rows = []
    for epoch in rung_epochs(run):
        reached = run.trials[run.trials["epochs"].fillna(0) >= epoch]
        stopped = int(((reached["epochs"] == epoch) & (reached["fate"] == "stopped")).sum())
        rows.append((epoch, len(reached), stopped, len(reached) - stopped))
    return pd.DataFrame(rows, columns=["epoch", "reached", "stopped", "went_on"])


def budget(run: Run) -> pd.DataFrame:
    """Sum by fate: columns `fate`, `trials`, `epochs`, `seconds`, and `share` of all seconds."""
    groups = run.trials.groupby("fate", observed=True)
    table = groups.agg(
        trials=("trial", "size"), epochs=("epochs", "sum"), seconds=("seconds", "sum")
    )
    table = table.reindex([fate for fate in FATES if fate in table.index])
    total = table["seconds"].sum()
    return table.assign(share=table["seconds"] / (total or 1)).reset_index(names="fate")


def learning_curve(run: Run, trial: int) -> pd.DataFrame:
    """Return the rows of `Run.history` of one trial, by epoch."""
    rows = run.history[run.history["trial"] == trial]
    return rows.sort_values("epoch").reset_index(drop=True)


def confusion_table(validated: Validated) -> pd.DataFrame:
    """Count decisions: a row per true class, a column per decided class."""
    names = list(validated.classes.names)
    counts = confusion(validated.labels, validated.decided, len(names))
    return pd.DataFrame(counts, index=names, columns=names)


def class_scores(counts: pd.DataFrame) -> pd.DataFrame:
    """Score each class.

    Returns:
        One row per class, columns `precision`, `recall`, `f1` in [0, 1] and `support`; 0 where the
        denominator is 0, as in scikit-learn.
    """
    hits = pd.Series(np.diag(counts), index=counts.index, dtype=float)
    support, decided = counts.sum(axis=1), counts.sum(axis=0)
    return pd.DataFrame(
        {
            "precision": hits / decided.where(decided > 0, 1),
            "recall": hits / support.where(support > 0, 1),
            "f1": 2 * hits / (support + decided).where(support + decided > 0, 1),
            "support": support,
        }
    )


def contenders(run: Run, limit: int = 20) -> pd.DataFrame:
    """Compare the best trials with the chosen one on the samples that both validated.

    Args:
        run: The run.
        limit: Maximum number of trials, including the chosen one.

    Returns:
        One row per trial, best first, including the chosen one: `trial`, `fate`, `objective`, its
        `difference` to the chosen one (positive: better) with the 95 % interval `low` to `high`,
        and `apart`: whether the interval excludes 0. Empty if probabilities were not kept.
    """
    columns = ["trial", "fate", "objective", "difference", "low", "high", "apart"]
    metric = run.objective.removeprefix("val_")
    chosen = None if run.best is None else run.validated(run.best.trial)
    if chosen is None or run.best is None or not is_score(metric):
        return pd.DataFrame(columns=columns)
    table = progress(run).sort_values("objective", ascending=not run.larger_is_better)
    others = [trial for trial in table["trial"] if trial != run.best.trial][: limit - 1]
    found = {run.best.trial: chosen}
    found |= {trial: other for trial in others if (other := _comparable(run, trial, chosen))}
    drawn = resampled_scores(metric, list(found.values()), seed=_SEED, draws=_DRAWS)
    sign = 1 if run.larger_is_better else -1
    rows: list[dict[str, Any]] = []
    for (trial, other), mine in zip(found.items(), drawn, strict=True):
        low, high = interval(sign * (mine - drawn[0]))
        value = sign * (other.score(metric) - chosen.score(metric))
        apart = not low <= 0 <= high
        rows.append(
            {"trial": trial, "difference": value, "low": low, "high": high, "apart": apart}
        )
    return table.merge(pd.DataFrame(rows), on="trial")[columns].reset_index(drop=True)


def _comparable(run: Run, trial: int, chosen: Validated) -> Validated | None:
    other = run.validated(trial)
    return other if other is not None and np.array_equal(other.rows, chosen.rows) else None


def speed(run: Run, times: pd.DataFrame) -> dict[str, float]:
    """Measure the throughput of a search.

    Args:
        run: The run.
        times: From `analysis.tables.study.trial_times`; may be empty.

    Returns:
        Totals `trials`, `epochs`, `trial_seconds`; and if the times are known `wall_seconds`,
        `trials_per_hour` and `utilisation`: the fraction of the slots' time in which a trial ran.
    """
    found = {
        "trials": float(len(run.trials)),
        "epochs": float(run.trials["epochs"].sum()),
        "trial_seconds": float(run.trials["seconds"].sum()),
    }
    if times.empty:
        return found
    wall = (times["end"].max() - times["start"].min()).total_seconds()
    if wall > 0:
        busy = (times["end"] - times["start"]).dt.total_seconds().sum()
        slots = run.search.hardware.slots or 1
        found["wall_seconds"] = wall
        found["trials_per_hour"] = 3600 * len(times) / wall
        found["utilisation"] = min(1.0, float(busy) / (wall * slots))
    return found
