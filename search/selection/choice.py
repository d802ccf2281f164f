"""The choice: among the confirmed configs, beside the floor, with how sure all that is.

Nothing is trained here: everything follows from kept probabilities, so it can be done anew. The
score that is told is that of choosing: each fold is scored by the config that the others choose.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.run_folder.confirmation import course_of
from search.selection.baseline import all_scores, baseline_ways, score_baseline, verdict
from search.selection.best_record import write_best
from search.selection.candidates import rule_of
from search.study.trial import neutral_threshold, ranked
from trainables.evaluation.calibration import fit_temperature
from trainables.evaluation.choice import by_others, choose_by_others
from trainables.evaluation.classes import CLASSES
from trainables.evaluation.objective import mode_of
from trainables.evaluation.resampling import interval, paired, resampled_scores

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from search.config.plan import Plan
    from search.study.trial import Records, TrialRecord
    from trainables.evaluation.choice import Course, NestedPredictions
    from trainables.evaluation.resampling import Validated


@dataclass(frozen=True)
class Confirmed:
    """A config that was trained again.

    Attributes:
        record: Its trial.
        course: What it said out of fold after each epoch.
        validated: The same at the epochs, and by the thresholds, that other folds chose.
        epochs: The epoch of each fold, from 1, shape (F,).
        repeats: How often the folds were drawn anew.
        score: The objective, the mean over folds: of this config, whichever is chosen.
    """

    record: TrialRecord
    course: Course
    validated: Validated
    epochs: NDArray[np.int64]
    repeats: int
    score: float

    @property
    def mean_epochs(self) -> int:
        """The mean of the epochs that its folds were scored at, rounded."""
        return max(1, round(float(self.epochs.mean())))


Draws = dict[str, "NDArray[np.float64]"]
"""Scores on the same resampled samples, by what said them."""

_TOLD = "told"


def choose_config(
    plan: Plan,
    records: Records,
    labels: NDArray[np.int64],
    picked: Sequence[TrialRecord],
    failed: Collection[int] = (),
) -> dict[str, Any] | None:
    """Choose a config, and write `best.json` anew.

    Args:
        plan: The search.
        records: Its trials.
        labels: Classes of the labelled samples, shape (N,).
        picked: The trials that were to be confirmed.
        failed: Trials of whose configs no model can be had.

    Returns:
        What was written: see `write_best`; and `confirmed`, `candidates`, `comparison`, `floor`,
        `verdict` and `decision`, each null where it could not be had. None where all trials with
        a score have failed.
    """
    metric = plan.settings.tuning.metric
    able = [record for record in picked if record.number not in failed]
    groups = _groups(plan, len(labels))
    order = _confirmed(plan, labels, able, groups)
    baselines = baseline_ways(plan, labels, groups)
    extra: dict[str, Any] = dict.fromkeys(
        ("confirmed", "candidates", "comparison", "decision", "floor", "verdict")
    )
    ways = {str(one.record.number): one.validated for one in order} | baselines
    chosen = None
    if order:
        told = choose_by_others([one.course for one in order], rule_of(plan))
        _write_told(plan, order, told)
        ways = {_TOLD: told.validated, **ways}
        chosen = order[0].record, _why(order)
    elif failed:
        left = [r for r in ranked(records, mode_of(metric)) if r.number not in failed]
        if not left:
            return None
        chosen = left[0], "the best of the search of whose config a model could be trained"
    drawn = _draws(plan, ways)
    if order:
        extra["confirmed"] = _scores(plan, order, told, drawn[_TOLD])
        extra["candidates"] = [_candidate(plan, one, drawn) for one in order]
        extra["comparison"] = _comparison(order, drawn)
        extra["decision"] = _decision(plan, labels, order, extra["confirmed"]["score"])
    if baselines:
        extra["floor"], extra["verdict"] = _against(plan, order, ways, drawn)
    return write_best(plan.folder, records, metric, mode_of(metric), chosen=chosen, extra=extra)


def _why(order: Sequence[Confirmed]) -> str:
    if len(order) == 1:
        return "the best of the search, confirmed on fresh seeds and folds"
    return f"the best of {len(order)} configs that were trained again on fresh seeds and folds"


def _groups(plan: Plan, count: int) -> NDArray[np.int64] | None:
    """Groups of duplicates among the labelled samples, shape (N,)."""
    if not plan.folder.samples.exists():
        return None
    return plan.folder.read_samples()["group"].to_numpy(np.int64)[:count]


def _confirmed(
    plan: Plan,
    labels: NDArray[np.int64],
    picked: Sequence[TrialRecord],
    groups: NDArray[np.int64] | None,
) -> list[Confirmed]:
    """Read what was confirmed, best first."""
    rule, found = rule_of(plan), []
    for record in picked:
        if not plan.folder.confirmation(record.number).exists():
            continue
        own = neutral_threshold(record.params)
        frame = plan.folder.read_courses(record.number)
        course = course_of(frame, labels, neutral_threshold=own, groups=groups)
        honest, one_epoch = by_others(course, rule), len(course.probabilities) == 1
        # Chosen anew: a search that goes on may decide in another way than when they were kept.
        epochs = frame["epoch"].to_numpy(np.int64) if one_epoch else honest.epochs + 1
        firsts = np.unique(course.parts, return_index=True)[1]
        repeats = int(frame["repeat"].max()) + 1
        score = honest.validated.score(rule.score)
        found.append(Confirmed(record, course, honest.validated, epochs[firsts], repeats, score))
    return sorted(found, key=lambda one: -rule.sign * one.score)


def _write_told(plan: Plan, order: Sequence[Confirmed], told: NestedPredictions) -> None:
    said = told.validated
    trials = np.array([one.record.number for one in order])
    epochs = np.stack([one.epochs for one in order])
    frame = pd.DataFrame(said.probabilities, columns=list(CLASSES))
    frame.insert(0, "row", said.rows)
    frame.insert(0, "epoch", epochs[told.picks, said.parts])
    frame.insert(0, "trial", trials[told.picks])
    frame.insert(0, "fold", said.parts)
    frame.insert(0, "repeat", 0 if said.repeats is None else said.repeats)
    plan.folder.write_told(frame.assign(decided=said.decided))


def _draws(plan: Plan, ways: Mapping[str, Validated]) -> Draws:
    """Resample what was said in every way alike."""
    if not ways:
        return {}
    drawn = resampled_scores(rule_of(plan).score, list(ways.values()), seed=plan.settings.seed)
    return dict(zip(ways, drawn, strict=True))


def _scores(
    plan: Plan, order: Sequence[Confirmed], told: NestedPredictions, draws: NDArray[np.float64]
) -> dict[str, Any]:
    best, said = order[0], told.validated
    name = rule_of(plan).score
    _, ends = np.unique(said.parts, return_index=True)
    return {
        "score": said.score(name),
        "spread": float(said.part_scores(name).std()),
        "standard_error": float(draws.std(ddof=1)),
        "interval": list(interval(draws)),
        "covers": said.covers,
        "scores": all_scores(said),
        "epochs": best.mean_epochs,
        "repeats": best.repeats,
        "contenders": len(order),
        "folds_chose": [order[pick].record.number for pick in told.picks[ends]],
    }


def _candidate(plan: Plan, one: Confirmed, drawn: Draws) -> dict[str, Any]:
    searched = one.record.best(mode_of(plan.settings.tuning.metric))
    return {
        "trial": one.record.number,
        "hand_tuned": one.record.hand_tuned,
        "searched": searched[1] if searched else None,
        "confirmed": one.score,
        "spread": float(one.validated.part_scores(rule_of(plan).score).std()),
        "interval": list(interval(drawn[str(one.record.number)])),
        "epochs": one.mean_epochs,
    }


def _comparison(order: Sequence[Confirmed], drawn: Draws) -> dict[str, Any] | None:
    if len(order) < 2:
        return None
    best, second = order[:2]
    names = str(best.record.number), str(second.record.number)
    found = paired(best.score - second.score, drawn[names[0]] - drawn[names[1]])
    return {
        "trial": best.record.number,
        "other": second.record.number,
        "difference": found.difference,
        "interval": list(found.interval),
        "p_value": found.p_value,
    }


def _against(
    plan: Plan, order: Sequence[Confirmed], ways: Mapping[str, Validated], drawn: Draws
) -> tuple[dict[str, Any], str | None]:
    """Score the floor, and say whether what is told beats it and the hand-tuned config."""
    rule = rule_of(plan)
    baseline = score_baseline(ways, drawn)
    if not order:
        return baseline, None
    rivals = {"majority": "majority", "logistic_regression": "logistic_regression"}
    for one in order:
        if one.record.hand_tuned:
            baseline["hand_tuned"] = all_scores(one.validated)
            if one is not order[0]:
                rivals["hand_tuned"] = str(one.record.number)
    told = ways[_TOLD].score(rule.score)
    margins = {}
    for key, name in rivals.items():
        found = paired(told - ways[name].score(rule.score), drawn[_TOLD] - drawn[name])
        margin, error = rule.sign * found.difference, found.standard_error
        margins[key] = margin, margin / error if error > 0 else None
    baseline["margin"], baseline["standard_errors"] = margins["logistic_regression"]
    return baseline, verdict(plan.settings.tuning.metric, told, margins)


def _decision(
    plan: Plan, labels: NDArray[np.int64], order: Sequence[Confirmed], told: float
) -> dict[str, Any]:
    """Say how the chosen config decides, and what other rules come to, chosen alike."""
    best, rule = order[0], rule_of(plan)
    said, own = best.validated, neutral_threshold(best.record.params)
    courses, truth = [one.course for one in order], labels[best.validated.rows]
    scores = {rule.decision: told}
    for which in {"searched", "tuned"} - {rule.decision}:
        found = choose_by_others(courses, replace(rule, decision=which)).validated
        scores[which] = found.score(rule.score)
    return {
        "rule": rule.decision,
        "neutral_threshold": rule.threshold(truth, said.probabilities, own),
        "temperature": fit_temperature(truth, said.probabilities),
        "searched_score": scores["searched"],
        "tuned_score": scores["tuned"],
    }
