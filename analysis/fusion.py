"""Late fusion decided anew: what other fusions make of the branches that one training kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.results import CLASSES
from analysis.scores import DECISION_SCORES, confusion, decide, score_confusion

if TYPE_CHECKING:
    from numpy.typing import NDArray

WEIGHTED, VOTE = "weighted", "vote"
_WEIGHTS = np.linspace(0, 1, 21)


def branches_of(probabilities: pd.DataFrame) -> dict[str, NDArray[np.floating]]:
    """Read the branches out of a trial's probabilities.

    Args:
        probabilities: From `RunFolder.read_trial_probabilities`.

    Returns:
        Class probabilities by branch, each of shape (V, C), in the order of the columns; empty for
        a model without branches.
    """
    first = f"_{CLASSES[0]}"
    columns = map(str, probabilities.columns)
    names = [name.removesuffix(first) for name in columns if name.endswith(first)]
    return {
        name: probabilities[[f"{name}_{each}" for each in CLASSES]].to_numpy() for name in names
    }


def fuse(
    first: NDArray[np.floating], second: NDArray[np.floating], fusion: str, weight: float
) -> NDArray[np.floating]:
    """Make one of the class probabilities of two branches, as the head of late fusion does.

    Args:
        first: Of the first branch, shape (N, C).
        second: Of the second branch, shape (N, C).
        fusion: `weighted` averages them; `vote` takes those of the branch that is more certain:
            the one with the larger largest probability, the first where they are equal.
        weight: Weight of the first branch in `weighted`, in [0, 1].

    Returns:
        Class probabilities, shape (N, C).
    """
    if fusion == VOTE:
        surer = first.max(axis=1, keepdims=True) >= second.max(axis=1, keepdims=True)
        return np.where(surer, first, second)
    return weight * first + (1 - weight) * second


def fusion_scores(
    labels: NDArray[np.int64],
    first: NDArray[np.floating],
    second: NDArray[np.floating],
    neutral_threshold: float,
) -> pd.DataFrame:
    """Score every fusion of two branches that were trained once.

    Args:
        labels: True classes in [0, C), shape (N,).
        first: Class probabilities of the first branch, shape (N, C).
        second: Class probabilities of the second branch, shape (N, C).
        neutral_threshold: Of the decision, in [0, 1].

    Returns:
        A row for `vote`, then one for `weighted` at each weight of the first branch from 0 (the
        second alone) to 1: columns `fusion`, `weight` (NaN for the vote) and the scores.
    """
    rows: list[dict[str, Any]] = []
    for fusion, weight in [(VOTE, np.nan), *((WEIGHTED, weight) for weight in _WEIGHTS)]:
        decided = decide(fuse(first, second, fusion, weight), neutral_threshold)
        counts = confusion(labels, decided)
        scores = {name: float(score_confusion(name, counts)) for name in DECISION_SCORES}
        rows.append({"fusion": fusion, "weight": weight, **scores})
    return pd.DataFrame(rows)
