"""The floor of every search: what a logistic regression says on the same folds, in seconds.

The stage is done when the file `floor.parquet` is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.run_folder.confirmation import course_of
from search.cluster.tasks import Task, regress_fold
from search.console.live import follow
from search.errors import WorkError
from search.selection.candidates import per_repeat
from trainables.evaluation.classes import CLASSES
from trainables.evaluation.decision import decide
from trainables.evaluation.objective import SCORES
from trainables.evaluation.resampling import interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from rich.console import Console

    from search.cluster.tasks import TaskRunner
    from search.config.plan import Plan
    from trainables.data.sample import Fold
    from trainables.evaluation.resampling import Validated


def measure_baseline(
    runner: TaskRunner, plan: Plan, folds: Sequence[Fold], console: Console
) -> list[str]:
    """Fit a logistic regression on every fold, and keep what it says of what it did not see.

    Args:
        runner: Does the work.
        plan: The search.
        folds: Those of the configs that it is compared with.
        console: Where to show how it goes.

    Returns:
        Why there is no floor, in a plain sentence; nothing where there is one.
    """
    if plan.folder.baseline.exists():
        return []
    tasks = [Task(regress_fold, {"fold": fold}) for fold in folds]
    frames = {}
    words = f"logistic regression on frozen activations, {len(folds)} folds"
    for number, said in follow(console, words, runner.run(tasks), len(tasks)):
        if isinstance(said, WorkError):
            return [f"there is no floor to compare with: {said}"]
        frame = pd.DataFrame(said, columns=list(CLASSES))
        frame.insert(0, "row", folds[number].val)
        frame.insert(0, "fold", number)
        frame.insert(0, "repeat", number // per_repeat(plan))
        frames[number] = frame
    plan.folder.write_baseline(pd.concat([frames[k] for k in sorted(frames)], ignore_index=True))
    return []


def all_scores(validated: Validated) -> dict[str, float]:
    """Score what was said out of fold in every way.

    Args:
        validated: It.

    Returns:
        By the names that a trial reports, the means over folds.
    """
    return {f"val_{name}": validated.score(name) for name in SCORES}


def baseline_ways(
    plan: Plan, labels: NDArray[np.int64], groups: NDArray[np.int64] | None
) -> dict[str, Validated]:
    """Read what needs no search.

    Args:
        plan: The search.
        labels: Classes of the labelled samples, shape (N,).
        groups: Which duplicates each of them belongs to, shape (N,), where it is known.

    Returns:
        What the `logistic_regression` and the `majority` class say of the folds that configs were
        confirmed on; empty without a floor.
    """
    if not plan.folder.baseline.exists():
        return {}
    course = course_of(plan.folder.read_baseline(), labels, groups=groups)
    counts = np.bincount(labels, minlength=len(CLASSES))
    shares = np.tile(counts / counts.sum(), (len(course.rows), 1))
    return {
        "logistic_regression": course.at(0, 0.0),
        "majority": course.decided(shares, decide(shares, 0.0)),
    }


def score_baseline(
    ways: Mapping[str, Validated], drawn: Mapping[str, NDArray[np.float64]]
) -> dict[str, Any]:
    """Score the floor.

    Args:
        ways: From `floor_ways`, and others.
        drawn: Scores on resampled samples, by the same names, shape (B,).

    Returns:
        `majority` and `logistic_regression` with their scores, the `interval` of the regression,
        and room for the `margin` of what was chosen above it, in `standard_errors` too.
    """
    baseline = {key: all_scores(ways[key]) for key in ("majority", "logistic_regression")}
    low, high = interval(drawn["logistic_regression"])
    return {**baseline, "interval": [low, high], "margin": None, "standard_errors": None}


_SPELT = {
    "majority": "the majority class",
    "logistic_regression": "the logistic regression",
    "hand_tuned": "the hand-tuned config",
}


def verdict(metric: str, score: float, margins: Mapping[str, tuple[float, float | None]]) -> str:
    """Say plainly whether the search was worth it.

    Args:
        metric: The objective.
        score: Told of what was chosen.
        margins: By how much it is better than each other way, and in how many standard errors of
            the difference (None where both decide alike).

    Returns:
        One sentence.
    """
    parts = []
    for key, (margin, errors) in margins.items():
        sure = f"{abs(errors):.1f} standard errors" if errors is not None else "no difference"
        if errors is None or abs(errors) < 1:
            parts.append(f"is level with {_SPELT[key]} ({margin:+.4f}, {sure})")
        else:
            how = "beats" if margin > 0 else "loses to"
            parts.append(f"{how} {_SPELT[key]} by {abs(margin):.4f} ({sure})")
    tail = "" if "hand_tuned" in margins else "; it is the hand-tuned config"
    said = ", ".join(parts[:-1]) + f" and {parts[-1]}"
    return f"the confirmed {metric} of {score:.4f} {said}{tail}"
