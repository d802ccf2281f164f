"""Which configs are confirmed after the search, and on which fresh seeds and folds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from search.study.trial import TrialRecord, ranked
from trainables.data.splits import make_folds
from trainables.evaluation.choice import Rule
from trainables.evaluation.metrics import mode_of
from trainables.seeds import stream_seed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from search.config.plan import Plan
    from search.study.trial import Records
    from trainables.data.sample import Corpus, Fold

_DEFAULT_COUNT = 5
# No trial, fold or repeat has this number.
_FRESH = 2**31
# A search on one split is confirmed on two others of a fifth each.
_FIFTHS, _USED_FIFTHS = 5, 2


def count_confirmed(plan: Plan) -> int:
    """Return how many configs to confirm: by default an eighth of the trials, from 1 to 5."""
    asked = plan.settings.selection.confirm
    return max(1, min(_DEFAULT_COUNT, plan.settings.trials // 8)) if asked is None else asked


def pick(plan: Plan, records: Records) -> list[TrialRecord]:
    """Pick the trials to confirm: the best distinct ones, and the hand-tuned for comparison."""
    order = ranked(records, mode_of(plan.settings.tuning.metric))
    count = count_confirmed(plan)
    picked: list[TrialRecord] = []
    for record in order if count else ():
        is_new = all(dict(record.params) != dict(other.params) for other in picked)
        if is_new and (len(picked) < count or record.hand_tuned):
            picked.append(record)
    return picked


def epochs_of(plan: Plan, record: TrialRecord) -> int:
    """Return how many epochs to train a config again: its trial's, or all if that was stopped."""
    return record.epochs if record.fate == "finished" else plan.epochs


def fresh_seed(plan: Plan) -> int:
    """Return a seed, for what is trained after the search, that the search did not use."""
    return stream_seed(plan.settings.seed, _FRESH)


def fresh_folds(plan: Plan, corpus: Corpus) -> tuple[Fold, ...]:
    """Split the labelled samples anew.

    Returns:
        As many folds as the search had, of other seeds; two fifths where it had one split. The
        lab's split, of which there is only one, is replaced by grouped ones. A split that comes
        with the data stays, as its scores are to be compared; only the seeds are fresh.
    """
    data = plan.settings.data
    folds = make_folds(
        corpus,
        split="grouped" if data.split == "lab" else data.split,
        folds=plan.folds if plan.folds > 1 else _FIFTHS,
        seed=fresh_seed(plan),
        repeats=data.repeats,
    )
    if plan.folds > 1 or corpus.given_folds is not None:
        return folds
    return tuple(fold for k, fold in enumerate(folds) if k % _FIFTHS < _USED_FIFTHS)


def per_repeat(plan: Plan) -> int:
    """Return how many of `fresh_folds` make one repeat."""
    if plan.given_folds is not None:
        return plan.given_folds
    return plan.folds if plan.folds > 1 else _USED_FIFTHS


def groups_of(plan: Plan, count: int) -> NDArray[np.int64] | None:
    """Return the group of duplicates of each of `count` labelled samples; None if unknown."""
    if not plan.folder.samples.exists():
        return None
    return plan.folder.read_samples()["group"].to_numpy(np.int64)[:count]


def rule_of(plan: Plan) -> Rule:
    """Return the rule by which a config is chosen after the search: objective and decision."""
    metric = plan.settings.tuning.metric
    sign = 1 if mode_of(metric) == "max" else -1
    asked = plan.settings.selection.decision
    decision = "argmax" if plan.classes.fallback is None else asked
    return Rule(metric.removeprefix("val_"), sign, decision)
