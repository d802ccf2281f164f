"""Recompute late fusion from the stored probabilities of both branches."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from trainables.evaluation.choice import by_others, choose, choose_by_others
from trainables.evaluation.metrics import decision_scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainables.evaluation.choice import Course, Rule
    from trainables.evaluation.classes import Classes
    from trainables.evaluation.resampling import Validated

WEIGHTED, VOTE = "weighted", "vote"
_WEIGHTS = np.linspace(0, 1, 21)


def branches_of(probabilities: pd.DataFrame, classes: Classes) -> dict[str, NDArray[np.floating]]:
    """Return a trial's class probabilities by branch, each of shape (V, C), in column order."""
    first = f"_{classes.names[0]}"
    columns = {*map(str, probabilities.columns)} - {*classes.names}
    found = [name.removesuffix(first) for name in probabilities.columns if name in columns]
    names = [name for name in found if {f"{name}_{each}" for each in classes.names} <= columns]
    return {
        name: probabilities[[f"{name}_{each}" for each in classes.names]].to_numpy()
        for name in names
    }


def fuse(
    first: NDArray[np.floating], second: NDArray[np.floating], fusion: str, weight: float
) -> NDArray[np.floating]:
    """Fuse the class probabilities of two branches, as the late fusion head does.

    Args:
        first: Of the first branch, shape (N, C).
        second: Of the second branch, shape (N, C).
        fusion: `weighted` averages them; `vote` takes those of the more certain branch: the one
            with the larger maximum, or the first if equal.
        weight: Weight of the first branch in `weighted`, in [0, 1].

    Returns:
        Class probabilities, shape (N, C).
    """
    if fusion == VOTE:
        surer = first.max(axis=1, keepdims=True) >= second.max(axis=1, keepdims=True)
        return np.where(surer, first, second)
    return weight * first + (1 - weight) * second


def fusion_scores(first: Course, second: Course, rule: Rule) -> pd.DataFrame:
    """Score every fusion of two trained branches; scores are means over folds.

    Args:
        first: Predictions of the first branch, at one epoch.
        second: Predictions of the second branch for the same validations.
        rule: How to select the weight, and how to decide.

    Returns:
        A row for `vote`, a row for `weighted` at each weight of the first branch from 0 (the
        second alone) to 1, and a row for `weighted` where each fold has the weight that is best on
        the other folds. Columns `fusion`; `weight` (NaN for the vote; in the last row, the one
        selected on all folds); `chosen` (`no`: the same for all folds; `others`: by the other
        folds, so that scores are independent of the selection); and the scores.
    """
    rows: list[dict[str, Any]] = []
    both = first.probabilities[0], second.probabilities[0]
    vote = _fused(first, fuse(*both, VOTE, 0.0))
    weighted = [_fused(first, fuse(*both, WEIGHTED, weight)) for weight in _WEIGHTS]
    for fusion, weight, course in [
        (VOTE, np.nan, vote),
        *((WEIGHTED, weight, course) for weight, course in zip(_WEIGHTS, weighted, strict=True)),
    ]:
        validated = by_others(course, rule).validated
        rows.append({"fusion": fusion, "weight": weight, "chosen": "no", **_scores(validated)})
    found, weight = choose_by_others(weighted, rule).validated, _WEIGHTS[choose(weighted, rule)]
    rows.append({"fusion": WEIGHTED, "weight": weight, "chosen": "others", **_scores(found)})
    return pd.DataFrame(rows)


def _fused(course: Course, probabilities: NDArray[np.floating]) -> Course:
    return replace(course, probabilities=probabilities[None])


def _scores(validated: Validated) -> dict[str, float]:
    return {name: validated.score(name) for name in decision_scores(validated.classes)}
