"""The baseline of every search: a logistic regression on the same folds, in seconds.

The stage is done when the file `floor.parquet` is there.
"""

from __future__ import annotations

import time
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.run_folder.confirmation import course_of
from search.cluster.tasks import Task, regress_fold
from search.console.live import follow
from search.errors import WorkError
from search.selection.candidates import per_repeat
from trainables.evaluation.metrics import scores_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from rich.console import Console

    from search.cluster.tasks import TaskRunner
    from search.config.plan import Plan
    from trainables.data.sample import Fold
    from trainables.evaluation.resampling import Validated

MAJORITY, REGRESSION, HAND_TUNED = "majority", "logistic_regression", "hand_tuned"
"""What a confirmed config is compared with."""


def regressions(
    runner: TaskRunner,
    plan: Plan,
    reads: Sequence[Mapping[str, Any]],
    folds: Sequence[Fold],
    shown: tuple[str, Console],
    until: float = inf,
) -> pd.DataFrame:
    """Fit a logistic regression on every fold, for each of several ways to read the samples.

    Args:
        runner: Does the work.
        plan: The search.
        reads: The hyperparameters that say what is read, one for each way.
        folds: The folds.
        shown: What to call the work, and where to show progress.
        until: When to give up, on the clock of `time.monotonic`.

    Returns:
        One row per way and validated sample: `combination` (index of the way), `fold`, `row`, and
        the probability of each class, float32.

    Raises:
        WorkError: If a fit fails, or the time is up.
    """
    words, console = shown
    tasks = [
        Task(regress_fold, {"fold": fold, "params": dict(read)}, on_gpu=False)
        for read in reads
        for fold in folds
    ]
    frames: dict[int, pd.DataFrame] = {}
    for number, result in follow(console, words, runner.run(tasks), len(tasks)):
        if isinstance(result, WorkError):
            raise result
        if time.monotonic() > until:
            msg = "the time budget is too short for it"
            raise WorkError(msg)
        way, fold = divmod(number, len(folds))
        frame = pd.DataFrame(result, columns=list(plan.classes.names))
        frame.insert(0, "row", folds[fold].val)
        frame.insert(0, "fold", fold)
        frame.insert(0, "combination", way)
        frames[number] = frame
    return pd.concat([frames[number] for number in sorted(frames)], ignore_index=True)


def measure_baseline(
    runner: TaskRunner,
    plan: Plan,
    folds: Sequence[Fold],
    read: Mapping[str, Any],
    console: Console,
) -> list[str]:
    """Fit a logistic regression on every fold, and keep its out-of-fold probabilities.

    Args:
        runner: Does the work.
        plan: The search.
        folds: Those of the configs that it is compared with.
        read: The hyperparameters that say what it reads: rung zero's best.
        console: Where to show progress.

    Returns:
        Why there is no baseline, in a plain sentence; nothing where there is one.
    """
    if plan.folder.baseline.exists():
        return []
    words = f"logistic regression on frozen activations, {len(folds)} folds"
    try:
        frame = regressions(runner, plan, [read], folds, (words, console)).drop(
            columns="combination"
        )
    except WorkError as error:
        return [f"there is no baseline to compare with: {error}"]
    frame.insert(0, "repeat", frame["fold"] // per_repeat(plan))
    plan.folder.write_baseline(frame)
    return []


def all_scores(validated: Validated) -> dict[str, float]:
    """Return every score, the mean over folds, by the names that a trial reports."""
    return {f"val_{name}": validated.score(name) for name in scores_of(validated.classes)}


def baseline_ways(
    plan: Plan, labels: NDArray[np.int64], groups: NDArray[np.int64] | None
) -> dict[str, Validated]:
    """Return the predictions of the logistic `REGRESSION` and of the `MAJORITY` class.

    Args:
        plan: The search.
        labels: Classes of the labelled samples, shape (N,).
        groups: Group of duplicates of each, shape (N,); None if unknown.

    Returns:
        Those on the folds that configs were confirmed on; empty without a baseline.
    """
    if not plan.folder.baseline.exists():
        return {}
    course = course_of(plan.folder.read_baseline(), labels, plan.classes, groups=groups)
    counts = np.bincount(labels, minlength=len(plan.classes))
    shares = np.tile(counts / counts.sum(), (len(course.rows), 1))
    return {
        REGRESSION: course.at(0, 0.0),
        MAJORITY: course.decided(shares, course.decide(shares, 0.0)),
    }


_SPELT = {
    MAJORITY: "the majority class",
    REGRESSION: "the logistic regression",
    HAND_TUNED: "the hand-tuned config",
}


def verdict(metric: str, score: float, margins: Mapping[str, tuple[float, float | None]]) -> str:
    """Say in a sentence whether the search was worth it.

    Args:
        metric: The objective.
        score: The confirmed one.
        margins: By how much it is better than each other way, and in how many standard errors of
            the difference (None where both decide alike).

    Returns:
        The sentence.
    """
    tail = "" if HAND_TUNED in margins else "; it is the hand-tuned config"
    return f"the confirmed {metric} of {score:.4f} {compared_with(margins)}{tail}"


def compared_with(margins: Mapping[str, tuple[float, float | None]]) -> str:
    """Say in words what a score beats, is level with and loses to; `margins` as for `verdict`."""
    return compared({_SPELT[key]: margin for key, margin in margins.items()})


def compared(margins: Mapping[str, tuple[float, float | None]]) -> str:
    """Say in words what a score beats, is level with and loses to.

    Args:
        margins: As for `verdict`, by what the score is compared with, in words; at least one.

    Returns:
        The words.
    """
    parts = []
    for name, (margin, errors) in margins.items():
        sure = f"{abs(errors):.1f} standard errors" if errors is not None else "no difference"
        if errors is None or abs(errors) < 1:
            parts.append(f"is level with {name} ({margin:+.4f}, {sure})")
        else:
            how = "beats" if margin > 0 else "loses to"
            parts.append(f"{how} {name} by {abs(margin):.4f} ({sure})")
    *firsts, last = parts
    return f"{', '.join(firsts)} and {last}" if firsts else last
