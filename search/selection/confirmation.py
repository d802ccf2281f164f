"""Train the best configs again on fresh seeds and folds: their scores without the search's luck.

A config's stage is done when its file `confirmations/TRIAL.parquet` is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.program import counted
from analysis.run_folder.confirmation import course_of
from search.cluster.tasks import Task, train_fold
from search.console.live import follow
from search.errors import WorkError
from search.selection.candidates import epochs_of, fresh_seed, per_repeat, rule_of
from search.study.trial import neutral_threshold
from trainables.evaluation.choice import by_others
from trainables.seeds import stream_seed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from search.cluster.tasks import TaskRunner
    from search.config.plan import Plan
    from search.study.trial import TrialRecord
    from trainables.data.sample import Corpus, Fold


def confirm(
    runner: TaskRunner,
    plan: Plan,
    corpus: Corpus,
    folds: Sequence[Fold],
    picked: Sequence[TrialRecord],
    console: Console,
) -> list[str]:
    """Train configs again on every fold, and keep their out-of-fold predictions.

    Args:
        runner: Does the work.
        plan: The search.
        corpus: The data.
        folds: Fresh ones.
        picked: The configs' trials; one that is confirmed already is left alone.
        console: Where to show progress.

    Returns:
        A plain sentence for each config that could not be confirmed.
    """
    todo = [r for r in picked if not plan.folder.confirmation(r.number).exists()]
    tasks = [_task(plan, record, fold, k) for record in todo for k, fold in enumerate(folds)]
    done: dict[int, dict[int, Any]] = {record.number: {} for record in todo}
    troubles: dict[int, str] = {}
    kind = "fresh" if plan.given_folds is None else "given"
    words = f"confirming {counted(len(todo), 'config')} on {counted(len(folds), f'{kind} fold')}"
    for index, result in follow(console, words, runner.run(tasks), len(tasks)):
        record, fold = todo[index // len(folds)], index % len(folds)
        done[record.number][fold] = result
        if (trouble := _trouble(result)) and record.number not in troubles:
            troubles[record.number] = f"trial {record.number} could not be confirmed: {trouble}"
            console.print(troubles[record.number], highlight=False)
        if len(done[record.number]) == len(folds):
            courses = [course for _, course in sorted(done.pop(record.number).items())]
            if record.number not in troubles:
                _keep(plan, corpus, folds, record, courses)
    return list(troubles.values())


def _task(plan: Plan, record: TrialRecord, fold: Fold, number: int) -> Task:
    arguments = {
        "params": dict(record.params),
        "fold": fold,
        "epochs": epochs_of(plan, record),
        "seed": stream_seed(fresh_seed(plan), number),
    }
    return Task(train_fold, arguments)


def _trouble(course: Any) -> str:
    if isinstance(course, WorkError):
        return str(course)
    return "" if len(course["validated"]) else str(course["diverged"])


def _keep(
    plan: Plan,
    corpus: Corpus,
    folds: Sequence[Fold],
    record: TrialRecord,
    courses: Sequence[Mapping[str, Any]],
) -> None:
    frame = _frame(plan, folds, courses)
    own = neutral_threshold(record.params)
    course = course_of(frame, corpus.labels, plan.classes, neutral_threshold=own)
    epochs = by_others(course, rule_of(plan)).epochs
    frame["chosen"] = frame["epoch"] == np.tile(epochs + 1, len(course.probabilities))
    ends = np.cumsum([len(fold.val) for fold in folds]) - 1
    predicted = [each["unlabelled"][epochs[end]] for each, end in zip(courses, ends, strict=True)]
    guids = [sample.guid for sample in corpus.unlabelled]
    plan.folder.write_test_probabilities(record.number, guids, np.mean(predicted, axis=0))
    plan.folder.write_confirmation(record.number, frame)


def _frame(
    plan: Plan, folds: Sequence[Fold], courses: Sequence[Mapping[str, Any]]
) -> pd.DataFrame:
    """Tabulate predictions by epoch, as far as the shortest course goes."""
    sizes = [len(fold.val) for fold in folds]
    numbers = np.repeat(np.arange(len(folds)), sizes)
    frames = []
    for epoch in range(min(len(course["validated"]) for course in courses)):
        predicted = np.concatenate([course["validated"][epoch] for course in courses])
        frame = pd.DataFrame(predicted, columns=list(plan.classes.names))
        frame.insert(0, "row", np.concatenate([fold.val for fold in folds]))
        frame.insert(0, "epoch", epoch + 1)
        frame.insert(0, "fold", numbers)
        frame.insert(0, "repeat", numbers // per_repeat(plan))
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)
