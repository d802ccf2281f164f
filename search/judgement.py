"""The choice: among the confirmed configs, beside the floor, with how sure all that is.

Nothing is trained here: everything follows from kept probabilities, so it can be done anew.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analysis.calibration import fit_temperature
from analysis.confirmation import decide_confirmation, threshold_by, tuned_on
from analysis.resampling import (
    Validated,
    compare,
    fold_standard_error,
    interval,
    resampled_scores,
)
from analysis.scores import decide
from analysis.threshold import decide_by_others, threshold_curve
from search.best_record import write_best
from search.candidates import held_out_share
from search.floor_score import all_scores, score_floor
from search.trials import neutral_threshold
from trainables.objective import mode_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from search.plan import Plan
    from search.trials import Records, TrialRecord


@dataclass(frozen=True)
class Confirmed:
    """A config that was trained again.

    Attributes:
        record: Its trial.
        validated: What it said out of fold, decided by the search's rule.
        epochs: The mean of the epochs that its folds were scored at, rounded.
        repeats: How often the folds were drawn anew.
        score: The objective, the mean over folds.
        interval: Its 95 % bootstrap interval.
    """

    record: TrialRecord
    validated: Validated
    epochs: int
    repeats: int
    score: float
    interval: tuple[float, float]


def judge(
    plan: Plan, records: Records, labels: NDArray[np.int64], picked: Sequence[TrialRecord]
) -> dict[str, Any]:
    """Choose a config, and write `best.json` anew.

    Args:
        plan: The search.
        records: Its trials.
        labels: Classes of the labelled samples, shape (N,).
        picked: The trials that were to be confirmed.

    Returns:
        What was written: see `write_best`; and `confirmed`, `candidates`, `comparison`, `floor`,
        `verdict` and `decision`, each null where it could not be had.
    """
    metric = plan.settings.tuning.metric
    order = _confirmed(plan, labels, picked)
    extra: dict[str, Any] = dict.fromkeys(("confirmed", "candidates", "comparison", "decision"))
    extra["floor"], extra["verdict"] = score_floor(
        plan, labels, [(one.record, one.validated) for one in order]
    )
    chosen = None
    if order:
        best = order[0]
        chosen = best.record, _why(len(order))
        extra["confirmed"] = _scores(plan, best)
        extra["candidates"] = [_candidate(plan, one) for one in order]
        extra["comparison"] = _comparison(metric, order)
        extra["decision"] = _decision(plan, labels, best)
    return write_best(plan.folder, records, metric, mode_of(metric), chosen=chosen, extra=extra)


def _why(count: int) -> str:
    if count == 1:
        return "the best of the search, confirmed on fresh seeds and folds"
    return f"the best of {count} configs that were trained again on fresh seeds and folds"


def _confirmed(
    plan: Plan, labels: NDArray[np.int64], picked: Sequence[TrialRecord]
) -> list[Confirmed]:
    """Read what was confirmed, best first."""
    metric = plan.settings.tuning.metric
    name = metric.removeprefix("val_")
    read = [(r, plan.folder.confirmation(r.number)) for r in picked]
    frames = [(r, plan.folder.read_confirmation(r.number)) for r, path in read if path.exists()]
    validated = [
        decide_confirmation(
            frame,
            labels,
            rule=plan.settings.selection.decision,
            objective=metric,
            neutral_threshold=neutral_threshold(record.params),
        )
        for record, frame in frames
    ]
    if not validated:
        return []
    drawn = resampled_scores(name, validated, seed=plan.settings.seed)
    found = [
        Confirmed(
            record,
            one,
            max(1, round(frame.groupby("fold")["epoch"].first().mean())),
            int(frame["repeat"].max()) + 1,
            one.score(name),
            interval(draws),
        )
        for (record, frame), one, draws in zip(frames, validated, drawn, strict=True)
    ]
    sign = 1 if mode_of(metric) == "max" else -1
    return sorted(found, key=lambda one: -sign * one.score)


def _spread(plan: Plan, one: Confirmed) -> tuple[float, float]:
    name = plan.settings.tuning.metric.removeprefix("val_")
    scores = one.validated.part_scores(name)
    return float(scores.std()), fold_standard_error(scores, held_out_share(plan))


def _scores(plan: Plan, one: Confirmed) -> dict[str, Any]:
    spread, error = _spread(plan, one)
    return {
        "score": one.score,
        "spread": spread,
        "standard_error": None if math.isnan(error) else error,
        "interval": list(one.interval),
        "scores": all_scores(one.validated),
        "epochs": one.epochs,
        "repeats": one.repeats,
    }


def _candidate(plan: Plan, one: Confirmed) -> dict[str, Any]:
    searched = one.record.best(mode_of(plan.settings.tuning.metric))
    return {
        "trial": one.record.number,
        "hand_tuned": one.record.hand_tuned,
        "searched": searched[1] if searched else None,
        "confirmed": one.score,
        "spread": _spread(plan, one)[0],
        "interval": list(one.interval),
        "epochs": one.epochs,
    }


def _comparison(metric: str, order: Sequence[Confirmed]) -> dict[str, Any] | None:
    if len(order) < 2:
        return None
    found = compare(metric.removeprefix("val_"), order[0].validated, order[1].validated)
    return {
        "trial": order[0].record.number,
        "other": order[1].record.number,
        "difference": found.difference,
        "interval": list(found.interval),
        "p_value": found.p_value,
    }


def _decision(plan: Plan, labels: NDArray[np.int64], best: Confirmed) -> dict[str, Any]:
    said, name = best.validated, tuned_on(plan.settings.tuning.metric)
    truth = labels[said.rows]
    rule = plan.settings.selection.decision
    own = threshold_by(rule, neutral_threshold(best.record.params))
    tuned, _ = threshold_curve(truth, said.probabilities).best(name)
    decided = {
        "searched": decide(said.probabilities, own),
        "tuned": decide_by_others(name, said.rows, said.parts, truth, said.probabilities),
    }
    scores = {
        which: Validated(said.rows, said.parts, truth, said.probabilities, by).score(name)
        for which, by in decided.items()
    }
    return {
        "rule": rule,
        "neutral_threshold": tuned if rule == "tuned" else own,
        "temperature": fit_temperature(truth, said.probabilities),
        "searched_score": scores["searched"],
        "tuned_score": scores["tuned"],
    }
