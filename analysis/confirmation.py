"""What a config said out of fold when it was trained again, decided as its search decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analysis.resampling import Validated
from analysis.results import CLASSES
from analysis.scores import decide
from analysis.threshold import decide_by_others

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


def decide_confirmation(
    frame: pd.DataFrame,
    labels: NDArray[np.int64],
    *,
    rule: str,
    objective: str,
    neutral_threshold: float,
) -> Validated:
    """Decide the classes of a confirmation.

    Args:
        frame: What `RunFolder.read_confirmation` reads.
        labels: Classes of the labelled samples, shape (N,).
        rule: `tuned` chooses each fold's neutral threshold on the other folds, `argmax` takes the
            largest probability, `searched` decides by the config's threshold.
        objective: The metric of the search, which a threshold is tuned on.
        neutral_threshold: The config's, in [0, 1].

    Returns:
        The probabilities and decisions by sample, in the order of the frame.
    """
    rows, parts = frame["row"].to_numpy(np.int64), frame["fold"].to_numpy(np.int64)
    said, truth = frame[list(CLASSES)].to_numpy(), labels[rows]
    if rule == "tuned":
        decided = decide_by_others(tuned_on(objective), rows, parts, truth, said)
    else:
        decided = decide(said, threshold_by(rule, neutral_threshold))
    return Validated(rows, parts, truth, said, decided)


def threshold_by(rule: str, neutral_threshold: float) -> float:
    """Give the neutral threshold of a config where none is tuned.

    Args:
        rule: How the search decides.
        neutral_threshold: The config's, in [0, 1].

    Returns:
        The config's; 0 where the largest probability decides.
    """
    return 0.0 if rule == "argmax" else neutral_threshold


def tuned_on(objective: str) -> str:
    """Name the score that a neutral threshold is tuned on.

    Args:
        objective: The metric of the search, such as `val_weighted_f1`.

    Returns:
        Its score; weighted F1 for the loss, which no threshold changes.
    """
    name = objective.removeprefix("val_")
    return "weighted_f1" if name == "loss" else name
