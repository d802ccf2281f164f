"""Choose among the confirmed configs and compare with the baseline, with standard errors.

Nothing is trained here: everything follows from kept probabilities, so it can be done anew. The
reported score is that of the choice itself: each fold is scored by what the others choose.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.run_folder.best_record import (
    Baseline,
    Candidate,
    Confirmed,
    Decision,
    Ensemble,
    EnsembleMember,
    RunnerUp,
)
from analysis.run_folder.search_record import fresh_words
from search.selection.baseline import (
    HAND_TUNED,
    MAJORITY,
    REGRESSION,
    all_scores,
    baseline_ways,
    compared_with,
    verdict,
)
from search.selection.best_trial import best_trial
from search.selection.candidates import groups_of, rule_of
from search.selection.ensemble import joined
from search.selection.retrained import read_retrained
from search.study.trial import neutral_threshold, ranked
from trainables.evaluation.calibration import fit_temperature
from trainables.evaluation.choice import choose_by_others
from trainables.evaluation.metrics import mode_of
from trainables.evaluation.resampling import interval, paired, resampled_scores

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from analysis.run_folder.best_record import Best
    from search.config.plan import Plan
    from search.selection.ensemble import Joined, Proposal
    from search.selection.retrained import Retrained
    from search.study.trial import Records, TrialRecord
    from trainables.evaluation.choice import NestedPredictions
    from trainables.evaluation.resampling import Validated


Draws = dict[str, "NDArray[np.float64]"]
"""Scores on the same resampled samples, by what made the predictions."""

_REPORTED, _ENSEMBLE = "reported", "ensemble"


def choose_config(
    plan: Plan,
    records: Records,
    labels: NDArray[np.int64],
    picked: Sequence[TrialRecord],
    failed: Collection[int] = (),
    proposal: Proposal | None = None,
) -> Best | None:
    """Choose a config, compare an ensemble with it, and write `best.json` anew.

    Args:
        plan: The search.
        records: Its trials.
        labels: Classes of the labelled samples, shape (N,).
        picked: The trials that were to be confirmed.
        failed: Trials of whose configs no final model can be trained.
        proposal: An ensemble that may be the final model instead.

    Returns:
        What was written. None where all trials with a score have failed.
    """
    metric = plan.settings.tuning.metric
    able = [record for record in picked if record.number not in failed]
    groups = groups_of(plan, len(labels))
    order = _retrained(plan, labels, able, groups)
    baselines = baseline_ways(plan, labels, groups)
    ways = {str(one.record.number): one.validated for one in order} | baselines
    chosen, together = None, None
    if order:
        reported = choose_by_others([one.course for one in order], rule_of(plan))
        _write_reported(plan, order, reported)
        ways = {_REPORTED: reported.validated, **ways}
        chosen = order[0].record, _why(order, given=plan.given_folds is not None)
        together = _joined(plan, proposal, (labels, groups), order, failed)
        ways |= {_ENSEMBLE: together.validated} if together else {}
    elif failed:
        left = [r for r in ranked(records, mode_of(metric)) if r.number not in failed]
        if not left:
            return None
        chosen = left[0], "the best of the search of whose config a model could be trained"
    drawn = _draws(plan, ways)
    best = best_trial(plan.folder, records, metric, chosen)
    if order:
        confirmed = _confirmed(plan, order, reported, drawn[_REPORTED])
        best = replace(
            best,
            confirmed=confirmed,
            candidates=tuple(_candidate(plan, one, drawn) for one in order),
            comparison=_runner_up(order, drawn),
            decision=_decision(plan, labels, order, confirmed.score),
        )
        if proposal and together:
            ensemble = _ensemble(plan, proposal, together, confirmed.score, drawn)
            margins = _margins(plan, ways, drawn, _ENSEMBLE, _rivals(order, ways))
            best = replace(best, ensemble=_compared_further(ensemble, margins))
    if baselines:
        baseline, words = _against(plan, order, ways, drawn)
        best = replace(best, baseline=baseline, verdict=words)
    plan.folder.write_best(best)
    return best


def _joined(
    plan: Plan,
    proposal: Proposal | None,
    data: tuple[NDArray[np.int64], NDArray[np.int64] | None],
    order: Sequence[Retrained],
    failed: Collection[int],
) -> Joined | None:
    """Average an ensemble that can be trained, and keep its predictions."""
    if proposal is None or any(record.number in failed for record in proposal.trials):
        return None
    known = {one.record.number: one for one in order}
    together = joined(plan, proposal, *data, known)
    if together is not None:
        plan.folder.write_ensemble(_prediction_frame(together.validated))
    return together


def _why(order: Sequence[Retrained], *, given: bool) -> str:
    how = fresh_words(given=given)
    if len(order) == 1:
        return f"the best of the search, confirmed on {how}"
    return f"the best of {len(order)} configs that were trained again on {how}"


def _retrained(
    plan: Plan,
    labels: NDArray[np.int64],
    picked: Sequence[TrialRecord],
    groups: NDArray[np.int64] | None,
) -> list[Retrained]:
    """Read the configs that were trained again, best first."""
    read = (read_retrained(plan, record, labels, groups) for record in picked)
    found = [one for one in read if one is not None]
    return sorted(found, key=lambda one: -rule_of(plan).sign * one.score)


def _write_reported(plan: Plan, order: Sequence[Retrained], reported: NestedPredictions) -> None:
    frame = _prediction_frame(reported.validated)
    trials = np.array([one.record.number for one in order])
    epochs = np.stack([one.epochs for one in order])
    frame.insert(2, "trial", trials[reported.picks])
    frame.insert(3, "epoch", epochs[reported.picks, reported.validated.parts])
    plan.folder.write_reported(frame)


def _prediction_frame(validated: Validated) -> pd.DataFrame:
    frame = pd.DataFrame(validated.probabilities, columns=list(validated.classes.names))
    frame.insert(0, "row", validated.rows)
    frame.insert(0, "fold", validated.parts)
    frame.insert(0, "repeat", 0 if validated.repeats is None else validated.repeats)
    return frame.assign(decided=validated.decided)


def _draws(plan: Plan, ways: Mapping[str, Validated]) -> Draws:
    """Draw bootstrap samples, the same for every way."""
    if not ways:
        return {}
    drawn = resampled_scores(rule_of(plan).score, list(ways.values()), seed=plan.settings.seed)
    return dict(zip(ways, drawn, strict=True))


def _confirmed(
    plan: Plan, order: Sequence[Retrained], reported: NestedPredictions, draws: NDArray[np.float64]
) -> Confirmed:
    best, validated = order[0], reported.validated
    _, firsts = np.unique(validated.parts, return_index=True)
    return Confirmed(
        **estimate(rule_of(plan).score, validated, draws),
        epochs=best.mean_epochs,
        repeats=best.repeats,
        contenders=len(order),
        folds_chose=tuple(order[pick].record.number for pick in reported.picks[firsts]),
    )


def estimate(name: str, validated: Validated, draws: NDArray[np.float64]) -> dict[str, Any]:
    """Return the fields of an `Estimate`.

    Args:
        name: The objective, without `val_`.
        validated: The predictions that are scored.
        draws: Their score on resampled samples, shape (B,).

    Returns:
        The fields, by name.
    """
    return {
        "score": validated.score(name),
        "spread": float(validated.part_scores(name).std()),
        "standard_error": float(draws.std(ddof=1)),
        "interval": interval(draws),
        "covers": validated.covers,
        "scores": all_scores(validated),
    }


def _candidate(plan: Plan, one: Retrained, drawn: Draws) -> Candidate:
    searched = one.record.best(mode_of(plan.settings.tuning.metric))
    return Candidate(
        trial=one.record.number,
        hand_tuned=one.record.hand_tuned,
        searched=searched[1] if searched else None,
        confirmed=one.score,
        spread=float(one.validated.part_scores(rule_of(plan).score).std()),
        interval=interval(drawn[str(one.record.number)]),
        epochs=one.mean_epochs,
    )


def _ensemble(
    plan: Plan, proposal: Proposal, together: Joined, single: float, drawn: Draws
) -> Ensemble:
    """Compare an ensemble with the choice of one config, on folds that selected neither."""
    rule, validated, draws = rule_of(plan), together.validated, drawn[_ENSEMBLE]
    score = validated.score(rule.score)
    found = paired(score - single, draws - drawn[_REPORTED])
    margin, error = rule.sign * found.difference, found.standard_error
    return Ensemble(
        **estimate(rule_of(plan).score, validated, draws),
        members=tuple(
            EnsembleMember(
                trial=member.trial.number if member.trial else None,
                reads=dict(member.reads),
                weight=member.weight,
                confirmed=alone.score(rule.score),
                epochs=epochs,
            )
            for member, (alone, epochs) in zip(proposal.members, together.members, strict=True)
        ),
        margin=margin,
        margin_error=error,
        p_value=found.p_value,
        preferred=margin > error,
        neutral_weight=proposal.neutral_weight,
        temperature=fit_temperature(validated.labels, validated.probabilities),
        verdict=ensemble_verdict(
            f"on the fresh folds the ensemble's {plan.settings.tuning.metric} of {score:.4f}",
            f"the best config alone ({single:.4f})",
            margin,
            error,
        ),
    )


def _compared_further(
    ensemble: Ensemble, margins: Mapping[str, tuple[float, float | None]]
) -> Ensemble:
    """Compare an ensemble, in its verdict, with all but the majority class as well."""
    others = {rival: margin for rival, margin in margins.items() if rival != MAJORITY}
    words = f"; it {compared_with(others)}" if others else ""
    return replace(ensemble, verdict=ensemble.verdict + words)


def ensemble_verdict(what: str, alone: str, margin: float, error: float) -> str:
    """Say how an ensemble compares with what would ship without it.

    Args:
        what: Its score, in words.
        alone: What it is compared with, in words.
        margin: By how much it is better.
        error: The margin's standard error.

    Returns:
        The sentence.
    """
    if error == 0:
        return f"{what} decides as {alone} does"
    if margin > error:
        return f"{what} beats {alone} by {margin:.4f} ({margin / error:.1f} standard errors)"
    return (
        f"{what} does not beat {alone} by more than its standard error ({margin:+.4f}, standard"
        f" error {error:.4f})"
    )


def _runner_up(order: Sequence[Retrained], drawn: Draws) -> RunnerUp | None:
    if len(order) < 2:
        return None
    best, second = order[:2]
    names = str(best.record.number), str(second.record.number)
    found = paired(best.score - second.score, drawn[names[0]] - drawn[names[1]])
    return RunnerUp(
        trial=best.record.number,
        other=second.record.number,
        difference=found.difference,
        interval=found.interval,
        p_value=found.p_value,
    )


def _against(
    plan: Plan, order: Sequence[Retrained], ways: Mapping[str, Validated], drawn: Draws
) -> tuple[Baseline, str | None]:
    """Score the baseline, and compare the search with it and with the hand-tuned config."""
    rule = rule_of(plan)
    baseline = Baseline(
        majority=all_scores(ways[MAJORITY]),
        logistic_regression=all_scores(ways[REGRESSION]),
        interval=interval(drawn[REGRESSION]),
    )
    if not order:
        return baseline, None
    for one in order:
        if one.record.hand_tuned:
            baseline = replace(baseline, hand_tuned=all_scores(one.validated))
    rivals = _rivals(order, ways)
    if order[0].record.hand_tuned:
        del rivals[HAND_TUNED]
    score = ways[_REPORTED].score(rule.score)
    margins = _margins(plan, ways, drawn, _REPORTED, rivals)
    margin, errors = margins[REGRESSION]
    words = verdict(plan.settings.tuning.metric, score, margins)
    return replace(baseline, margin=margin, standard_errors=errors), words


def _rivals(order: Sequence[Retrained], ways: Mapping[str, Validated]) -> dict[str, str]:
    """Return what scores are compared with, and the name of each among the `ways`."""
    rivals = {name: name for name in (MAJORITY, REGRESSION) if name in ways}
    for one in order:
        if one.record.hand_tuned:
            rivals[HAND_TUNED] = str(one.record.number)
    return rivals


def _margins(
    plan: Plan, ways: Mapping[str, Validated], drawn: Draws, name: str, rivals: Mapping[str, str]
) -> dict[str, tuple[float, float | None]]:
    """Return by how much one way is better than each rival, and in how many standard errors."""
    rule, margins = rule_of(plan), {}
    score = ways[name].score(rule.score)
    for key, rival in rivals.items():
        found = paired(score - ways[rival].score(rule.score), drawn[name] - drawn[rival])
        margin, error = rule.sign * found.difference, found.standard_error
        margins[key] = margin, margin / error if error > 0 else None
    return margins


def _decision(
    plan: Plan, labels: NDArray[np.int64], order: Sequence[Retrained], score: float
) -> Decision:
    """Record how the chosen config decides, and the scores of other rules, chosen alike."""
    best, rule = order[0], rule_of(plan)
    validated, own = best.validated, neutral_threshold(best.record.params)
    courses, truth = [one.course for one in order], labels[best.validated.rows]
    scores = {rule.decision: score}
    others = {"searched", "tuned"} - {rule.decision}
    for which in others if plan.classes.fallback is not None else ():
        found = choose_by_others(courses, replace(rule, decision=which)).validated
        scores[which] = found.score(rule.score)
    return Decision(
        rule="argmax" if plan.classes.fallback is None else plan.settings.selection.decision,
        neutral_threshold=rule.threshold(truth, validated.probabilities, own, plan.classes),
        temperature=fit_temperature(truth, validated.probabilities),
        searched_score=scores.get("searched"),
        tuned_score=scores.get("tuned"),
    )
