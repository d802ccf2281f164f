"""Score late fusion by every fusion, from the kept probabilities of its branches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analysis.tables.fusion import branches_of, fusion_scores
from search.study.trial import neutral_threshold
from trainables.evaluation.choice import Course, Rule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from analysis.run_folder.best_record import Best
    from analysis.run_folder.folder import RunFolder
    from trainables.data.sample import Fold


def write_fusions(
    folder: RunFolder,
    best: Best,
    labels: NDArray[np.int64],
    folds: Sequence[Fold],
) -> None:
    """Write a table of all fusions of the chosen trial's branches, if it has branches."""
    if not folder.trial_probabilities(best.trial).exists():
        return
    kept = folder.read_trial_probabilities(best.trial)
    branches = branches_of(kept, folder.classes)
    if not branches:
        return
    rows = kept["row"].to_numpy(np.int64)
    parts = np.repeat(np.arange(len(folds)), [len(fold.val) for fold in folds])
    own = neutral_threshold(best.params)
    first, second = (
        Course(rows, parts, labels[rows], predicted[None], own, classes=folder.classes)
        for predicted in branches.values()
    )
    # The rows beside it are as searched: decided by the trial's own threshold.
    sign = 1 if best.mode == "max" else -1
    rule = Rule(best.objective.removeprefix("val_"), sign, "searched")
    folder.write_fusions(fusion_scores(first, second, rule))
