"""A greedy ensemble of what a search tried: its trials, and the regressions of rung zero.

Who is in it, and with what weight, follows from the folds of the search. The fresh folds, which
had no part in that, say whether it is better than the best config alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.run_folder.confirmation import course_of
from search.selection.baseline import regressions
from search.selection.candidates import count_confirmed, groups_of, per_repeat, rule_of
from search.selection.retrained import read_retrained
from search.study.trial import ranked
from trainables.evaluation.choice import Course
from trainables.evaluation.decision import decide
from trainables.evaluation.ensembling import Members, bagged_by_others, select_bagged
from trainables.evaluation.metrics import mode_of
from trainables.evaluation.neutral_weight import best_neutral_weight
from trainables.evaluation.resampling import paired_bootstrap

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from rich.console import Console

    from search.cluster.tasks import TaskRunner
    from search.config.plan import Plan
    from search.config.settings import SelectionSettings
    from search.selection.retrained import Retrained
    from search.study.trial import Records, TrialRecord
    from trainables.data.sample import Fold
    from trainables.evaluation.resampling import Validated

_DEFAULT_SIZE = 8
_TRIALS_PER_MEMBER = 4
_MOST_CANDIDATES = 100  # the best of them; more hardly add, and cost as much as they


@dataclass(frozen=True)
class Member:
    """A part of an ensemble.

    Attributes:
        weight: Its share of the mean probabilities, in (0, 1].
        trial: The trial whose config it is; None for a logistic regression.
        reads: What the regression reads, as hyperparameters; empty for a trial.
    """

    weight: float
    trial: TrialRecord | None = None
    reads: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Proposal:
    """An ensemble that was selected on the folds of the search.

    Attributes:
        members: By weight, the largest first; the weights add up to 1.
        neutral_weight: How it decides: see `trainables.evaluation.decision.decide`.
    """

    members: tuple[Member, ...]
    neutral_weight: float

    @property
    def trials(self) -> list[TrialRecord]:
        """The trials among its members."""
        return [member.trial for member in self.members if member.trial is not None]

    def beside(self, picked: Sequence[TrialRecord]) -> list[TrialRecord]:
        """Return the trials among its members that are not among some others."""
        return [record for record in self.trials if record not in picked]

    @property
    def reads(self) -> list[Mapping[str, Any]]:
        """What each regression among its members reads."""
        return [member.reads for member in self.members if member.trial is None]


class NoEnsembleError(Exception):
    """There is no ensemble; the message says why, in a sentence, unless that is expected."""


def ensemble_size(selection: SelectionSettings, trials: int) -> int:
    """Return the most members of an ensemble: by default eight, or a quarter of the trials.

    Returns:
        The number; 0 where none is to be tried.
    """
    if not selection.may_join:
        return 0
    if selection.ensemble_size is not None:
        return selection.ensemble_size
    few = min(_DEFAULT_SIZE, trials // _TRIALS_PER_MEMBER)
    return max(2, few) if selection.final == "ensemble" else few


def propose(
    plan: Plan, records: Records, labels: NDArray[np.int64], folds: Sequence[Fold]
) -> Proposal:
    """Select an ensemble from all trials and regressions of a search.

    Args:
        plan: The search.
        records: Its trials, all ended.
        labels: Classes of the labelled samples, shape (N,).
        folds: Those of the search.

    Returns:
        The ensemble.

    Raises:
        NoEnsembleError: If none is wanted or possible, or by nested selection it predicts no
            better than one config.
    """
    asked = plan.settings.selection.final
    size = ensemble_size(plan.settings.selection, plan.settings.trials)
    if size < 2 or not count_confirmed(plan):
        raise NoEnsembleError
    candidates = list(_candidates(plan, records, folds))
    if len(candidates) < 2:
        msg = "there is nothing to join: fewer than two configs have kept probabilities"
        raise NoEnsembleError(msg)
    rows = np.concatenate([fold.val for fold in folds])
    parts = np.repeat(np.arange(len(folds)), [len(fold.val) for fold in folds])
    predicted = np.stack([probabilities for _, probabilities in candidates])
    none = np.zeros(len(predicted))
    members = Members(rows, parts, labels[rows], predicted, none, plan.classes)
    if asked is None and (why := _no_better(plan, members, size)):
        raise NoEnsembleError(why)
    weights = select_bagged(members, size, seed=plan.settings.seed)
    if (weights > 0).sum() < 2:
        msg = "no ensemble is tried: one config alone predicts as well as any with others"
        raise NoEnsembleError(msg)
    mean = np.tensordot(weights, predicted, axes=1)
    rule, weight = rule_of(plan), 1.0
    if rule.decision != "argmax":
        weight = best_neutral_weight(members.labels, mean, rule.score, plan.classes)
    order = [int(k) for k in np.argsort(-weights, kind="stable") if weights[k] > 0]
    chosen = (candidates[k][0] for k in order)
    return Proposal(
        tuple(Member(float(weights[k]), *one) for k, one in zip(order, chosen, strict=True)),
        weight,
    )


def _candidates(
    plan: Plan, records: Records, folds: Sequence[Fold]
) -> Iterator[tuple[tuple[TrialRecord | None, Mapping[str, Any]], NDArray[np.floating]]]:
    """Return the possible members, the best of each kind first, with probabilities (V, C)."""
    rows, folder = np.concatenate([fold.val for fold in folds]), plan.folder
    names = list(plan.classes.names)
    found = 0
    for record in ranked(records, mode_of(plan.settings.tuning.metric)):
        if found < _MOST_CANDIDATES and folder.trial_probabilities(record.number).exists():
            frame = folder.read_trial_probabilities(record.number)
            if np.array_equal(frame["row"], rows):
                found += 1
                yield (record, {}), frame[names].to_numpy()
    stage = folder.read_stages().get("rung_zero")
    if stage is None or not folder.rung_zero_probabilities.exists():
        return
    reads = stage.depends_on["combinations"]
    frames = folder.read_rung_zero_probabilities().groupby("combination", sort=True)
    for read, (_, frame) in zip(reads, frames, strict=True):
        if np.array_equal(frame["row"], rows):
            yield (None, dict(read)), frame[names].to_numpy()


def _no_better(plan: Plan, members: Members, size: int) -> str:
    """Say why an ensemble is not worth confirming, by nested selection; empty if it may be."""
    # By log-loss, as a score of decisions is too noisy to tell: on the fresh folds the objective
    # has the last word.
    groups = groups_of(plan, int(members.rows.max()) + 1)
    course = Course(
        members.rows,
        members.parts,
        members.labels,
        members.probabilities[:1],
        0.0,
        None if groups is None else groups[members.rows],
        classes=plan.classes,
    )
    together, alone = (
        course.decided(each, each.argmax(axis=1))
        for each in bagged_by_others(members, course.others(), size, seed=plan.settings.seed)
    )
    found = paired_bootstrap("loss", together, alone)
    if found.difference < -found.standard_error:
        return ""
    return (
        "no ensemble is tried: on folds that did not choose it, its log-loss is"
        f" {together.score('loss'):.4f} against {alone.score('loss'):.4f} of one config"
        f" (standard error {found.standard_error:.4f})"
    )


def confirm_regressions(
    runner: TaskRunner,
    plan: Plan,
    proposal: Proposal,
    folds: Sequence[Fold],
    console: Console,
) -> None:
    """Fit the regressions of an ensemble on the fresh folds, and keep their predictions.

    Raises:
        WorkError: If a fit fails.
    """
    words = f"{len(proposal.reads)} regressions of the ensemble, {len(folds)} fresh folds"
    frame = regressions(runner, plan, proposal.reads, folds, (words, console))
    frame.insert(0, "repeat", frame["fold"] // per_repeat(plan))
    plan.folder.write_member_regressions(frame)


@dataclass(frozen=True)
class Joined:
    """An ensemble on the fresh folds.

    Attributes:
        validated: Its predictions, decided by its weight of the fallback class.
        members: Those of each member alone, with the mean of its epochs; 0 for a regression.
    """

    validated: Validated
    members: tuple[tuple[Validated, int], ...]


def joined(
    plan: Plan,
    proposal: Proposal,
    labels: NDArray[np.int64],
    groups: NDArray[np.int64] | None,
    known: Mapping[int, Retrained],
) -> Joined | None:
    """Average the members of an ensemble on the fresh folds, by weight.

    Args:
        plan: The search.
        proposal: The ensemble.
        labels: Classes of the labelled samples, shape (N,).
        groups: Group of duplicates of each, shape (N,); None if unknown.
        known: What has been read already of configs that were trained again, by trial.

    Returns:
        The ensemble; None where a member could not be confirmed.
    """
    frames: Iterator[Any] = iter(())
    if proposal.reads and plan.folder.member_regressions.exists():
        frames = iter(plan.folder.read_member_regressions().groupby("combination", sort=True))
    members: list[tuple[Validated, int]] = []
    for member in proposal.members:
        if member.trial is None:
            _, frame = next(frames, (0, None))
            if frame is None:
                return None
            members.append((course_of(frame, labels, plan.classes, groups=groups).at(0, 0.0), 0))
            continue
        number = member.trial.number
        one = known.get(number) or read_retrained(plan, member.trial, labels, groups)
        if one is None:
            return None
        members.append((one.validated, one.mean_epochs))
    weights = [member.weight for member in proposal.members]
    alone = [validated.probabilities for validated, _ in members]
    predicted = np.tensordot(weights, alone, axes=1)
    decided = decide(predicted, 0.0, proposal.neutral_weight, plan.classes)
    first, _ = members[0]
    return Joined(replace(first, probabilities=predicted, decided=decided), tuple(members))
