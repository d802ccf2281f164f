"""What a time budget keeps back, worked out by hand from trials that were timed."""

from __future__ import annotations

import pytest

from search.selection.budget import affordable, seconds_needed, seconds_to_keep
from search.tune.stopper import SearchStopper
from tests.search.selection.test_candidates import keyed, plan_of, record

WORDS = "--folds 4 --epochs 5 --trials 40 --confirm 2"


def test_the_estimate_is_that_worked_by_hand() -> None:
    plan = plan_of(WORDS)
    # 40 s for 5 epochs of 4 folds: 2 s for each epoch of a fold, so 10 s for a fold in full;
    # stopped after 2 epochs of 8 s: 2 s again, to be trained for 5 epochs.
    picked = [
        record(0, "finished", *[0.1] * 5, seconds=40.0),
        record(1, "stopped", 0.1, 0.1, seconds=16.0),
    ]
    confirming = (10 + 10) * 4 / 2
    joining, shipping = 10 * 3 * 1, 10 * 1.25 * 2
    expected = 15 + 1.15 * (confirming + joining + shipping)
    assert seconds_needed(plan, picked, slots=2) == pytest.approx(expected)
    assert seconds_needed(plan, [], slots=2) == 0


def test_one_split_is_confirmed_on_two_folds_and_joins_none() -> None:
    picked = [record(0, "finished", 0.1, 0.2, seconds=20.0)]
    expected = 15 + 1.15 * (20 * 2 / 1 + 20 * 1.25)
    assert seconds_needed(plan_of("--trials 4"), picked, slots=1) == pytest.approx(expected)


def test_nothing_is_kept_without_a_budget_or_without_what_comes_after() -> None:
    records = keyed(record(0, "finished", 0.1, seconds=20.0))
    assert seconds_to_keep(plan_of(""), records, 1) == 0
    assert seconds_to_keep(plan_of("--time-budget 1h --no-retrain"), records, 1) == 0
    assert seconds_to_keep(plan_of("--time-budget 1h"), {}, 1) == 0
    assert seconds_to_keep(plan_of("--time-budget 1h"), records, 1) > 20


def test_no_more_than_half_a_budget_is_kept() -> None:
    records = keyed(record(0, "finished", 0.1, seconds=2000.0))
    assert seconds_to_keep(plan_of("--time-budget 10m"), records, 1) == 300


def test_the_search_ends_early_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("search.tune.stopper.time.monotonic", lambda: now)
    keep = 30.0
    stopper = SearchStopper(160.0, lambda: keep)
    assert not stopper.stop_all()
    keep = 70.0  # a slower trial was seen
    assert stopper.stop_all()
    assert stopper.reason == "time budget"


def test_the_worst_are_left_out_until_there_is_time_and_the_hand_tuned_one_goes_last() -> None:
    plan = plan_of(WORDS)
    picked = [record(n, "finished", *[0.1] * 5, seconds=40.0, hand_tuned=n == 2) for n in range(3)]

    def kept(seconds: float) -> list[int]:
        return [one.number for one in affordable(plan, picked, 2, seconds)]

    full, two = (seconds_needed(plan, picked[:n], 2) for n in (3, 2))
    assert kept(float("inf")) == kept(full) == [0, 1, 2]
    assert kept(full - 1) == [0, 2]
    assert kept(two - 1) == [0]
    assert kept(-5) == [0]
