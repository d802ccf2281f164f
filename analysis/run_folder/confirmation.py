"""The out-of-fold predictions of a confirmed config, as needed to decide on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trainables.evaluation.choice import Course

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from trainables.evaluation.classes import Classes


def course_of(
    frame: pd.DataFrame,
    labels: NDArray[np.int64],
    classes: Classes,
    *,
    neutral_threshold: float = 0.0,
    groups: NDArray[np.int64] | None = None,
) -> Course:
    """Make a course of a confirmation's table.

    Args:
        frame: From `RunFolder.read_courses`: every epoch of every fold; or one epoch of each,
            which then count as one, as in runs that kept no others.
        labels: Classes of the labelled samples, shape (N,).
        classes: What they are called.
        neutral_threshold: The config's, in [0, 1].
        groups: Group of duplicates of each labelled sample, shape (N,).

    Returns:
        The predictions after each epoch, by sample in the order of the frame.
    """
    several = frame.duplicated(["fold", "row"]).any()
    epochs = [each for _, each in frame.groupby("epoch")] if several else [frame]
    first = epochs[0]
    rows = first["row"].to_numpy(np.int64)
    repeats = first["repeat"].to_numpy(np.int64) if "repeat" in first else None
    return Course(
        rows,
        first["fold"].to_numpy(np.int64),
        labels[rows],
        np.stack([each[list(classes.names)].to_numpy() for each in epochs]),
        neutral_threshold,
        None if groups is None else groups[rows],
        repeats,
        classes,
    )
