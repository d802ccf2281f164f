"""The score and the cost of each stage of a search, from rung zero to the ensemble."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from analysis.run_folder.best_record import Baseline
from analysis.run_folder.folder import CONFIG

if TYPE_CHECKING:
    from collections.abc import Iterator

    from analysis.run_folder.run import Run

_LAYERS = "_unfrozen_layers"
SEARCHED, FRESH = "folds of the search", "fresh folds"
COLUMNS = ("stage", "scored_on", "trials", "seconds", "score")


def stages(run: Run) -> pd.DataFrame:
    """Compare the stages of a search by the best score of each.

    Returns:
        A row per stage that was run, in their order: `stage`, `scored_on` (scores of the same
        folds may be compared), `trials`, `seconds` (of all its trials together; missing for the
        stages that have none) and `score`, the objective.
    """
    return pd.DataFrame([*_searched(run), *_confirmed(run)], columns=list(COLUMNS))


def _searched(run: Run) -> Iterator[dict[str, Any]]:
    better = max if run.larger_is_better else min
    if not run.rung_zero.empty:
        score = better(run.rung_zero["objective"])
        yield _row("logistic regressions before the first trial", SEARCHED, score)
    layers = [CONFIG + name for name in run.parameters if name.endswith(_LAYERS)]
    frozen = run.trials[layers].fillna(0).sum(axis=1) == 0
    for words, mine in (
        ("trials with frozen towers", run.trials[frozen]),
        ("trials with unfrozen layers", run.trials[~frozen]),
    ):
        scored = mine["objective"].dropna()
        if layers and len(scored):
            row = _row(words, SEARCHED, better(scored))
            yield row | {"trials": len(mine), "seconds": mine["seconds"].sum()}


def _confirmed(run: Run) -> Iterator[dict[str, Any]]:
    best = run.best
    if best is None:
        return
    baseline = best.baseline or Baseline()
    for words, scores in (
        ("best logistic regression", baseline.logistic_regression),
        ("hand-tuned config", baseline.hand_tuned or {}),
    ):
        score = scores.get(run.objective)
        if score is not None:
            yield _row(words, FRESH, score)
    if best.confirmed:
        yield _row("best config", FRESH, best.confirmed.score)
    if best.ensemble:
        yield _row(f"ensemble of {len(best.ensemble.members)}", FRESH, best.ensemble.score)


def _row(stage: str, scored_on: str, score: float) -> dict[str, Any]:
    return {"stage": stage, "scored_on": scored_on, "score": float(score)}
