"""The best configs once more, on fresh seeds and folds: what the search found, without the luck.

A config's stage is done when its file `confirmations/TRIAL.parquet` is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.resampling import Validated
from analysis.results import CLASSES
from analysis.scores import decide
from search.candidates import epochs_of, fresh_seed, per_repeat
from search.crew import Job
from search.errors import WorkError
from search.stage_view import follow
from search.trials import neutral_threshold
from trainables.objective import mode_of
from trainables.seeds import stream_seed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from rich.console import Console

    from search.crew import Crew
    from search.plan import Plan
    from search.trials import TrialRecord
    from trainables.data.sample import Corpus, Fold


def confirm(
    crew: Crew,
    plan: Plan,
    corpus: Corpus,
    folds: Sequence[Fold],
    picked: Sequence[TrialRecord],
    console: Console,
) -> list[str]:
    """Train configs again on every fold, and keep what they say of what they did not see.

    Args:
        crew: Does the work.
        plan: The search.
        corpus: The data.
        folds: Fresh ones.
        picked: The configs' trials; one that is confirmed already is left alone.
        console: Where to show how it goes.

    Returns:
        A plain sentence for each config that could not be confirmed.
    """
    todo = [r for r in picked if not plan.folder.confirmation(r.number).exists()]
    jobs = [_job(plan, record, fold, k) for record in todo for k, fold in enumerate(folds)]
    done: dict[int, dict[int, Any]] = {record.number: {} for record in todo}
    notes = []
    words = f"confirming {len(todo)} config{'s' * (len(todo) > 1)} on {len(folds)} fresh folds"
    for index, result in follow(console, words, crew.run(jobs), len(jobs)):
        record, fold = todo[index // len(folds)], index % len(folds)
        done[record.number][fold] = result
        if len(done[record.number]) == len(folds):
            courses = [course for _, course in sorted(done.pop(record.number).items())]
            if trouble := _trouble(courses):
                notes.append(f"trial {record.number} could not be confirmed: {trouble}")
            else:
                _keep(plan, corpus, folds, record, courses)
    return notes


def _job(plan: Plan, record: TrialRecord, fold: Fold, number: int) -> Job:
    arguments = {
        "params": dict(record.params),
        "fold": fold,
        "epochs": epochs_of(plan, record),
        "seed": stream_seed(fresh_seed(plan), number),
    }
    return Job("train_fold", arguments)


def _trouble(courses: Sequence[Any]) -> str:
    for course in courses:
        if isinstance(course, WorkError):
            return str(course)
        if not len(course["validated"]):
            return str(course["diverged"])
    return ""


def _keep(
    plan: Plan,
    corpus: Corpus,
    folds: Sequence[Fold],
    record: TrialRecord,
    courses: Sequence[Mapping[str, Any]],
) -> None:
    threshold = neutral_threshold(record.params)
    scores = epoch_scores(plan.settings.tuning.metric, corpus.labels, folds, courses, threshold)
    chosen = epochs_by_others(scores, plan.settings.tuning.metric)
    frames = []
    for number, (fold, course, epoch) in enumerate(zip(folds, courses, chosen, strict=True)):
        frame = pd.DataFrame(course["validated"][epoch], columns=list(CLASSES))
        frame.insert(0, "row", fold.val)
        frame.insert(0, "epoch", epoch + 1)
        frame.insert(0, "fold", number)
        frame.insert(0, "repeat", number // per_repeat(plan))
        frames.append(frame)
    said = [course["unlabelled"][epoch] for course, epoch in zip(courses, chosen, strict=True)]
    guids = [sample.guid for sample in corpus.unlabelled]
    plan.folder.write_test_probabilities(record.number, guids, np.mean(said, axis=0))
    plan.folder.write_confirmation(record.number, pd.concat(frames, ignore_index=True))


def epoch_scores(
    metric: str,
    labels: NDArray[np.int64],
    folds: Sequence[Fold],
    courses: Sequence[Mapping[str, Any]],
    neutral_threshold: float,
) -> NDArray[np.float64]:
    """Score every epoch of every fold.

    Args:
        metric: The objective.
        labels: Classes of the labelled samples, shape (N,).
        folds: What the courses were trained on.
        courses: What was said after each epoch: see `train_fold`.
        neutral_threshold: The config's.

    Returns:
        Shape (E, F), where E is the length of the shortest course.
    """
    epochs = min(len(course["validated"]) for course in courses)
    rows = np.concatenate([fold.val for fold in folds])
    parts = np.repeat(np.arange(len(folds)), [len(fold.val) for fold in folds])
    scores = []
    for epoch in range(epochs):
        said = np.concatenate([course["validated"][epoch] for course in courses])
        decided = decide(said, neutral_threshold)
        validated = Validated(rows, parts, labels[rows], said, decided)
        scores.append(validated.part_scores(metric.removeprefix("val_")))
    return np.array(scores)


def epochs_by_others(scores: NDArray[np.float64], metric: str) -> list[int]:
    """Choose each fold's epoch by the mean of the other folds, the first of equals.

    So no fold's score is the best of its own epochs.

    Args:
        scores: By epoch and fold, shape (E, F).
        metric: The objective.

    Returns:
        An epoch for each fold, from 0.
    """
    sign = 1 if mode_of(metric) == "max" else -1
    others = scores.sum(axis=1, keepdims=True) - scores if scores.shape[1] > 1 else scores
    return [int(epoch) for epoch in (sign * others).argmax(axis=0)]
