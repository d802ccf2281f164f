"""The confirmed configs of several runs as one ensemble, and whether it is better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.run_folder.folder import RunFolder
from analysis.run_folder.io import write_json
from analysis.run_folder.run import load
from trainables.config import TrainConfig
from trainables.evaluation.choice import Rule, by_others, choose_by_others
from trainables.evaluation.classes import CLASSES
from trainables.evaluation.decision import decide
from trainables.evaluation.ensembling import (
    ensemble_by_others,
    ensemble_threshold,
    members_of,
    select_greedily,
)
from trainables.evaluation.resampling import paired_bootstrap

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from analysis.run_folder.run import Run
    from analysis.run_folder.search_record import Search
    from trainables.evaluation.choice import Course

_ALIKE = ("objective", "data digest", "split", "folds", "repeats", "seed", "decision")


class JoiningError(ValueError):
    """Runs cannot be joined; the message lists every fault."""


@dataclass(frozen=True)
class Joined:
    """An ensemble of configs.

    Attributes:
        record: `members` with their scores and shares, nested scores, `preferred` and `verdict`.
        guids: Names of the pairs to predict, in the order of their list.
        probabilities: Its predictions of them, shape (U, C).
        tags: Its decisions.
        notes: What a reader should know of the runs, in sentences.
    """

    record: dict[str, Any]
    guids: list[str]
    probabilities: NDArray[np.float32]
    tags: list[str]
    notes: list[str]

    def write(self, out: Path) -> None:
        """Write `predictions.csv`, `probabilities.csv` and `ensemble.json` into a folder."""
        folder = RunFolder(out)
        folder.write_predictions(self.guids, self.tags)
        folder.write_probabilities(self.guids, self.probabilities)
        write_json(out / "ensemble.json", self.record)


def join_runs(paths: Sequence[Path]) -> Joined:
    """Select an ensemble from all confirmed configs of some runs, given their folders.

    Returns:
        The ensemble.

    Raises:
        JoiningError: If the runs are not of the same data, objective and folds, or confirmed
            nothing; or `ResultsError` where a file of theirs is damaged.
    """
    runs = [load(path) for path in paths]
    faults = list(_faults(runs))
    if faults:
        raise JoiningError("\n".join(faults))
    names, courses, predicted = [], [], []
    for run in runs:
        for one in run.candidates:
            number = one.trial
            names.append(f"trial {number} of {run.name}")
            courses.append(course_in(run, number))
            predicted.append(run.folder.read_test_probabilities(number))
    _refuse_other_samples(names, courses, predicted)
    sign = 1 if runs[0].larger_is_better else -1
    rule = Rule(
        runs[0].objective.removeprefix("val_"), sign, runs[0].search.settings.selection.decision
    )
    members = members_of(courses, rule)
    weights = select_greedily(members)
    threshold = ensemble_threshold(members, weights, rule)
    record = _record(rule, courses, names, weights)
    record |= {"decision": rule.decision, "neutral_threshold": threshold}
    mean = np.tensordot(weights, [each[list(CLASSES)].to_numpy() for each in predicted], axes=1)
    decided = decide(mean, threshold)
    return Joined(
        record=record,
        guids=predicted[0]["guid"].tolist(),
        probabilities=mean.astype(np.float32),
        tags=[CLASSES[c] for c in decided],
        notes=[note for run in runs for note in run.notes],
    )


def _faults(runs: Sequence[Run]) -> Iterator[str]:
    for run in runs:
        if not run.candidates:
            yield f"{run.folder.path} must have confirmed configs, got none; search with --confirm"
    for run in runs[1:]:
        if other := unlike(runs[0], run):
            same = ", ".join(other)
            yield f"{run.folder.path} must be of the same {same} as {runs[0].folder.path}"


def unlike(one: Run, other: Run) -> list[str]:
    """Name what two runs differ in that must be the same for their scores to be compared."""
    pairs = zip(_ALIKE, _identity(one.search), _identity(other.search), strict=True)
    return [name for name, mine, theirs in pairs if mine != theirs]


def _refuse_other_samples(
    names: Sequence[str], courses: Sequence[Course], predicted: Sequence[pd.DataFrame]
) -> None:
    """Refuse configs whose predictions are not of the same samples in the same order."""
    first = courses[0]
    for name, course, one in zip(names, courses, predicted, strict=True):
        alike = np.array_equal(course.rows, first.rows) and np.array_equal(
            course.parts, first.parts
        )
        if not alike or not one["guid"].equals(predicted[0]["guid"]):
            msg = f"{name} must be confirmed on the samples and folds of {names[0]}, got others"
            raise JoiningError(msg)


def _identity(search: Search) -> tuple[Any, ...]:
    """What must be the same, in the order of `_ALIKE`."""
    return (
        search.objective,
        search.data.digest,
        search.split.kind,
        search.split.folds,
        search.split.repeats,
        search.settings.seed,
        search.settings.selection.decision,
    )


def course_in(run: Run, trial: int) -> Course:
    """Read the out-of-fold predictions of a config of a run that was confirmed.

    Returns:
        The predictions after each epoch.

    Raises:
        JoiningError: If the table of trials lacks the config's.
    """
    if trial not in set(run.trials["trial"]):
        msg = f"{run.folder.trials} must have trial {trial}, which was confirmed, and has not"
        raise JoiningError(msg)
    return run.course(trial, TrainConfig.neutral_threshold)


def _record(
    rule: Rule, courses: Sequence[Course], names: Sequence[str], weights: NDArray[np.float64]
) -> dict[str, Any]:
    name = rule.score
    ensemble = ensemble_by_others(courses, rule)
    single = choose_by_others(courses, rule).validated
    found = paired_bootstrap(name, ensemble, single)
    preferred = rule.sign * found.difference > 0 and (weights > 0).sum() > 1
    scores = [by_others(course, rule).validated.score(name) for course in courses]
    low, high = found.interval
    verdict = (
        f"nested validation {'prefers' if preferred else 'does not prefer'} the ensemble:"
        f" val_{name} {ensemble.score(name):.4f} against {single.score(name):.4f} of choosing one"
        f" config (difference {found.difference:+.4f}, 95 % interval {low:+.4f} to"
        f" {high:+.4f}, p {found.p_value:.2f}; the interval covers {ensemble.covers})"
    )
    members = [
        {"name": which, "score": score, "weight": float(weight)}
        for which, score, weight in zip(names, scores, weights, strict=True)
    ]
    return {
        "objective": f"val_{name}",
        "members": members,
        "ensemble": ensemble.score(name),
        "single": single.score(name),
        "difference": found.difference,
        "interval": [low, high],
        "covers": ensemble.covers,
        "p_value": found.p_value,
        "preferred": bool(preferred),
        "verdict": verdict,
    }
