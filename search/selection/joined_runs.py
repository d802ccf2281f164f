"""The confirmed configs of several runs as one ensemble, and whether it is better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.run_folder.folder import RunFolder
from analysis.run_folder.io import write_json
from analysis.run_folder.run import load
from trainables.config import TrainConfig
from trainables.evaluation.choice import Rule, by_others
from trainables.evaluation.decision import decide
from trainables.evaluation.ensembling import (
    ensemble_by_others,
    ensemble_threshold,
    members_of,
    select_greedily,
)
from trainables.evaluation.model_choice import choose_model_by_others
from trainables.evaluation.resampling import paired_bootstrap

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from analysis.run_folder.best_record import Candidate
    from analysis.run_folder.run import Run
    from analysis.run_folder.search_record import Search
    from trainables.evaluation.choice import Course
    from trainables.evaluation.classes import Classes
    from trainables.evaluation.ensembling import Select
    from trainables.evaluation.model_choice import Offer
    from trainables.evaluation.resampling import Validated

_ALIKE = (
    "objective",
    "data digest",
    "fallback class",
    "split",
    "folds",
    "repeats",
    "seed",
    "decision",
)


class JoiningError(ValueError):
    """Runs cannot be joined; the message lists every fault."""


@dataclass(frozen=True)
class Joined:
    """An ensemble of configs.

    Attributes:
        record: `members` with their scores and shares, nested scores, `preferred` and `verdict`.
        guids: Names of the pairs to predict, in the order of their list.
        probabilities: Its predictions of them, shape (U, C).
        classes: The C classes.
        tags: Its decisions.
        notes: What a reader should know of the runs, in sentences.
    """

    record: dict[str, Any]
    guids: list[str]
    probabilities: NDArray[np.float32]
    classes: Classes
    tags: list[str]
    notes: list[str]

    def write(self, out: Path) -> None:
        """Write `predictions.csv`, `probabilities.csv` and `ensemble.json` into a folder."""
        folder = RunFolder(out)
        folder.write_predictions(self.guids, self.tags)
        folder.write_probabilities(self.guids, self.probabilities, self.classes)
        write_json(out / "ensemble.json", self.record)


@dataclass(frozen=True)
class Selected:
    """An ensemble of confirmed configs of several runs.

    Attributes:
        configs: Those that it was selected from, M, each a run and a trial of it.
        weights: The weight of each, shape (M,), of sum 1.
        neutral_threshold: How it decides: see `trainables.evaluation.decision.decide`.
        alone: The score of each config.
        validated: Each fold as the ensemble says that the other folds select.
    """

    configs: Sequence[tuple[Run, Candidate]]
    weights: NDArray[np.float64]
    neutral_threshold: float
    alone: Sequence[float]
    validated: Validated


def select_ensemble(runs: Sequence[Run], rule: Rule, select: Select = select_greedily) -> Selected:
    """Select an ensemble from all confirmed configs of some runs, and validate it by other folds.

    Args:
        runs: The runs, confirmed on the same folds.
        rule: How they decide, and what is scored.
        select: As for `ensemble_by_others`.

    Returns:
        The ensemble.
    """
    configs = [(run, one) for run in runs for one in run.candidates]
    courses = [course_in(run, one.trial) for run, one in configs]
    members = members_of(courses, rule)
    weights = select(members)
    return Selected(
        configs=configs,
        weights=weights,
        neutral_threshold=ensemble_threshold(members, weights, rule),
        alone=[by_others(course, rule).validated.score(rule.score) for course in courses],
        validated=ensemble_by_others(courses, rule, select),
    )


def rule_in(run: Run) -> Rule:
    """Return the rule by which a run chose among its confirmed configs."""
    name, sign = run.objective.removeprefix("val_"), 1 if run.larger_is_better else -1
    return Rule(name, sign, run.search.settings.selection.decision)


def offer_of(run: Run) -> Offer:
    """Return the configs that a run chose among, or the predictions of an ensemble that ships."""
    if run.best and run.best.shipped_ensemble and run.reported is not None:
        return run.reported
    return [course_in(run, one.trial) for one in run.candidates]


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
    predicted = _refuse_other_samples(runs)
    rule = rule_in(runs[0])
    single = choose_model_by_others([offer_of(run) for run in runs], rule).validated
    found = select_ensemble(runs, rule)
    classes = runs[0].classes
    alone = [each[list(classes.names)].to_numpy() for each in predicted]
    mean = np.tensordot(found.weights, alone, axes=1)
    decided = decide(mean, found.neutral_threshold, classes=classes)
    return Joined(
        record=_record(rule, found, single),
        guids=predicted[0]["guid"].tolist(),
        probabilities=mean.astype(np.float32),
        classes=classes,
        tags=[classes.names[c] for c in decided],
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


def _refuse_other_samples(runs: Sequence[Run]) -> list[pd.DataFrame]:
    """Refuse configs whose predictions are not of the same samples in the same order.

    Returns:
        What each config predicts of the unlabelled pairs.

    Raises:
        JoiningError: If a config was confirmed on other samples or folds.
    """
    named = {
        f"trial {one.trial} of {run.name}": (run, one) for run in runs for one in run.candidates
    }
    courses = [course_in(run, one.trial) for run, one in named.values()]
    predicted = [run.folder.read_test_probabilities(one.trial) for run, one in named.values()]
    first = courses[0]
    for name, course, one in zip(named, courses, predicted, strict=True):
        alike = np.array_equal(course.rows, first.rows) and np.array_equal(
            course.parts, first.parts
        )
        if not alike or not one["guid"].equals(predicted[0]["guid"]):
            other = next(iter(named))
            msg = f"{name} must be confirmed on the samples and folds of {other}, got others"
            raise JoiningError(msg)
    return predicted


def _identity(search: Search) -> tuple[Any, ...]:
    """What must be the same, in the order of `_ALIKE`."""
    return (
        search.objective,
        search.data.digest,
        search.data.named.fallback_name,
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


def _record(rule: Rule, found: Selected, single: Validated) -> dict[str, Any]:
    name = rule.score
    margin = paired_bootstrap(name, found.validated, single)
    low, high = margin.interval
    score, alone = found.validated.score(name), single.score(name)
    better = rule.sign * margin.difference > margin.standard_error
    preferred = bool(better and (found.weights > 0).sum() > 1)
    verdict = (
        f"nested validation {'prefers' if preferred else 'does not prefer'} the ensemble:"
        f" val_{name} {score:.4f} against {alone:.4f} of choosing one config (difference"
        f" {margin.difference:+.4f}, standard error {margin.standard_error:.4f}, 95 % interval"
        f" {low:+.4f} to {high:+.4f}, p {margin.p_value:.2f}; the interval covers"
        f" {found.validated.covers})"
    )
    members = [
        {"name": f"trial {one.trial} of {run.name}", "score": score, "weight": float(weight)}
        for (run, one), score, weight in zip(
            found.configs, found.alone, found.weights, strict=True
        )
    ]
    return {
        "objective": f"val_{name}",
        "members": members,
        "ensemble": score,
        "single": alone,
        "difference": margin.difference,
        "standard_error": margin.standard_error,
        "interval": [low, high],
        "covers": found.validated.covers,
        "p_value": margin.p_value,
        "preferred": preferred,
        "verdict": verdict,
        "decision": rule.decision,
        "neutral_threshold": found.neutral_threshold,
    }
