"""How good a search's answer is after so many seconds of trials, from the predictions a run keeps.

    python -m tests.benchmarks.curve RUN

Nothing is trained. After each number of trials, the best candidate and the ensemble are selected
from those that had ended by then, beside the regressions of rung zero. Selection is nested: a fold
is predicted by what the other folds select. Seconds are those that trials ran, added up; a trial
of a search on a CPU has one core unless told otherwise. Building activations and rung zero come
before them.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from analysis.run_folder.run import load
from tests.benchmarks.parts import SIZE, members_of, nested
from tests.benchmarks.reporting import machine, show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analysis.run_folder.run import Run

_SCORES = ("weighted_f1", "f1_neutral", "loss")
_COLUMNS = (
    *("trials", "seconds of trials", "best alone: weighted F1", "ensemble: weighted F1"),
    *("F1 neutral", "log-loss"),
)


def counts_until(trials: int) -> list[int]:
    """Return the numbers of trials to look at: doubled from 1, and all."""
    doubled = [2**k for k in range(trials.bit_length()) if 2**k < trials]
    return [0, *doubled, *([trials] if trials else [])]


def seconds_until(seconds: Sequence[float], counts: Sequence[int]) -> list[float]:
    """Return what the first trials took, for each number of them."""
    return [float(sum(seconds[:count])) for count in counts]


def curve_of(run: Run) -> list[tuple[int, float, list[float], list[float]]]:
    """Score what a run would have answered after so many trials.

    Args:
        run: A run with rung zero and folds drawn once.

    Returns:
        Trials, their seconds, and the scores `_SCORES` of the best alone and of the ensemble.
    """
    candidates, everything, groups = members_of(run)
    regressions = sum(not one.is_trial for one in candidates)
    kept = [n for n in run.trials["trial"] if run.folder.trial_probabilities(n).exists()]
    took = run.trials.set_index("trial").loc[kept, "seconds"].tolist()
    counts = counts_until(len(kept))
    made = []
    for count, seconds in zip(counts, seconds_until(took, counts), strict=True):
        members = everything.only(np.arange(regressions + count))
        alone, ensemble = (
            [nested(members, groups, size, run.search.settings.seed)[0].score(s) for s in _SCORES]
            for size in (1, SIZE)
        )
        made.append((count, seconds, alone, ensemble))
    return made


def main() -> None:
    """Print the curve of a run."""
    run = load(Path(sys.argv[1]))
    curve = curve_of(run)
    lines = [
        [str(count), f"{seconds:.0f}", f"{alone[0]:.4f}", *(f"{score:.4f}" for score in ensemble)]
        for count, seconds, alone, ensemble in curve
    ]
    show("Score after so many trials", _COLUMNS, lines, {"curve": curve, "machine": machine()})


if __name__ == "__main__":
    main()
