"""Estimate the time of the stages after the trials, from the trials."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from search.selection.candidates import epochs_of, per_repeat, pick
from search.selection.final_model import LEAST_FOLDS, OUTER_FOLDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from search.config.plan import Plan
    from search.study.trial import Records, TrialRecord

_START_SECONDS = 15.0  # workers start, import torch and open their activations; the floor
_CAUTION = 1.15
_WHOLE = 1.25  # all labelled pairs against those that a fold trains on


def seconds_to_keep(plan: Plan, records: Records, slots: int) -> float:
    """Return the part of a time budget to keep for the stages after the trials.

    Args:
        plan: The search.
        records: Its trials so far.
        slots: The number of workers.

    Returns:
        Seconds, at most half the budget; 0 where nothing comes after the trials, or none has
        ended yet to estimate from.
    """
    if not plan.settings.selection.retrain or math.isinf(plan.time_budget):
        return 0.0
    needed = seconds_needed(plan, pick(plan, records), slots)
    return min(needed, plan.time_budget / 2)


def seconds_needed(plan: Plan, picked: Sequence[TrialRecord], slots: int) -> float:
    """Estimate the time of confirming some configs and training the final model.

    Args:
        plan: The search.
        picked: The configs' trials, best first; any of them may be chosen.
        slots: The number of workers.

    Returns:
        Seconds; 0 for no configs.
    """
    if not picked:
        return 0.0
    fresh = per_repeat(plan) * plan.settings.data.repeats
    confirming = sum(_fold_seconds(plan, r) * fresh for r in picked) / slots
    shipped = max(_fold_seconds(plan, record) for record in picked)
    folds = plan.folds
    rounds = math.ceil(folds * plan.settings.selection.final_seeds / slots)
    joining = (folds - 1) * math.ceil(OUTER_FOLDS / slots) if folds >= LEAST_FOLDS else 0
    return _START_SECONDS + _CAUTION * (confirming + shipped * (joining + _WHOLE * rounds))


def seconds_to_train(plan: Plan, records: Sequence[TrialRecord], slots: int) -> float:
    """Estimate the seconds of training some configs on all data.

    Args:
        plan: The search.
        records: The configs' trials.
        slots: The number of workers.

    Returns:
        Seconds; 0 for no configs.
    """
    if not records:
        return 0.0
    each = [_fold_seconds(plan, record) for record in records]
    side_by_side = max(plan.settings.selection.final_seeds * sum(each) / slots, max(each))
    return _START_SECONDS + _CAUTION * _WHOLE * side_by_side


def _fold_seconds(plan: Plan, record: TrialRecord) -> float:
    """Estimate the seconds of training a config on one fold in full."""
    folds = plan.folds * plan.settings.data.repeats
    return record.seconds / max(1, record.epochs) / folds * epochs_of(plan, record)


def affordable(
    plan: Plan, picked: Sequence[TrialRecord], slots: int, seconds: float
) -> list[TrialRecord]:
    """Leave out configs, the worst of the search first, until there is time for the rest.

    Args:
        plan: The search.
        picked: Those to confirm, best first.
        slots: The number of workers.
        seconds: What is left of the time budget; infinity without one.

    Returns:
        At least the best one; the hand-tuned one is the last of the others to go.
    """
    kept = list(picked)
    while len(kept) > 1 and seconds_needed(plan, kept, slots) > seconds:
        others = [record for record in kept[1:] if not record.hand_tuned] or kept[1:]
        kept.remove(others[-1])
    return kept
