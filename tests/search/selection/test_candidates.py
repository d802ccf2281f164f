"""Which configs are confirmed, on which folds and for how long."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from search.config.plan import Plan, make_plan
from search.config.settings import parse
from search.selection.candidates import (
    count_confirmed,
    epochs_of,
    fresh_folds,
    fresh_seed,
    per_repeat,
    pick,
)
from search.study.trial import Fate, TrialRecord
from trainables.data.sample import Corpus, Sample
from trainables.data.splits import make_folds

if TYPE_CHECKING:
    from search.study.trial import Records


def plan_of(words: str, out: Path = Path("never-written")) -> Plan:
    return make_plan(parse(f"--model early_fusion --data demo --out {out} {words}".split()))


def record(number: int, fate: Fate, *scores: float, **more: Any) -> TrialRecord:
    params = more.pop("params", {"rate": number / 10})
    return TrialRecord(number, params, scores=dict(enumerate(scores, 1)), fate=fate, **more)


def keyed(*records: TrialRecord) -> Records:
    return {f"ray-{record.number}": record for record in records}


def corpus_of(count: int = 60) -> Corpus:
    samples = (Sample(str(i), f"text {i // 2}", Path(), f"image {i}", i % 3) for i in range(count))
    return Corpus("made", tuple(samples))


@pytest.mark.parametrize(
    ("words", "count"),
    [
        ("--trials 40", 5),
        ("--trials 16", 2),
        ("--trials 2", 1),
        ("--trials 40 --confirm 7", 7),
        ("--confirm 0", 0),
    ],
)
def test_five_are_confirmed_but_at_most_an_eighth(words: str, count: int) -> None:
    assert count_confirmed(plan_of(words)) == count


def test_the_best_distinct_configs_are_picked_and_the_hand_tuned_one() -> None:
    same = {"rate": 0.5}
    records = keyed(
        record(0, "finished", 0.2, hand_tuned=True),
        record(1, "finished", 0.6, params=same),
        record(2, "finished", 0.7, params=same),
        record(3, "stopped", 0.9),
        record(4, "finished", 0.5),
        record(5, "diverged", 0.99),
        record(6, "finished", 0.4),
    )
    picked = [one.number for one in pick(plan_of("--trials 8 --confirm 2"), records)]
    assert picked == [2, 4, 0]
    assert pick(plan_of("--confirm 0"), records) == []


def test_a_config_is_trained_as_long_as_it_ran_and_in_full_where_it_was_stopped() -> None:
    plan = plan_of("--epochs 9")
    assert epochs_of(plan, record(0, "finished", 0.1, 0.2, 0.1, 0.1)) == 4
    assert epochs_of(plan, record(1, "stopped", 0.1, 0.2)) == 9


@pytest.mark.parametrize("split", ["grouped", "stratified"])
def test_fresh_folds_are_others_than_those_of_the_search(split: Any) -> None:
    plan, corpus = plan_of(f"--folds 3 --repeats 2 --split {split}"), corpus_of()
    fresh = fresh_folds(plan, corpus)
    assert len(fresh) == 6
    assert per_repeat(plan) == 3
    searched = make_folds(corpus, split=split, folds=3, seed=0, repeats=2)
    assert {tuple(f.val) for f in fresh}.isdisjoint(tuple(f.val) for f in searched)
    validated = np.sort(np.concatenate([fold.val for fold in fresh[:3]]))
    np.testing.assert_array_equal(validated, np.arange(60))


def test_a_search_on_one_split_is_confirmed_on_two_other_fifths() -> None:
    plan, corpus = plan_of("--repeats 2"), corpus_of()
    fresh = fresh_folds(plan, corpus)
    assert len(fresh) == 4
    assert per_repeat(plan) == 2
    for first, second in (fresh[:2], fresh[2:]):
        assert not np.intersect1d(first.val, second.val).size
    assert all(8 <= len(fold.val) <= 16 for fold in fresh)


def test_the_labs_only_split_gives_way_to_grouped_ones() -> None:
    lab, grouped = plan_of("--split lab"), plan_of("--split grouped")
    for one, other in zip(
        fresh_folds(lab, corpus_of()), fresh_folds(grouped, corpus_of()), strict=True
    ):
        np.testing.assert_array_equal(one.val, other.val)


def test_no_search_has_the_fresh_seed_of_another() -> None:
    fresh = {fresh_seed(plan_of(f"--seed {seed}")) for seed in range(3)}
    assert len(fresh) == 3
    assert fresh.isdisjoint(range(10_000))


def test_the_largest_seed_has_a_fresh_one() -> None:
    assert 0 <= fresh_seed(plan_of(f"--seed {2**32 - 1}")) < 2**32
