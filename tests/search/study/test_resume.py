"""A search that goes on: what its study, its records and its trials are after a kill."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from optuna.trial import TrialState

from search.study.resume import MOST_LOSSES, put_right, records_of
from search.study.trial import outcomes

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_trial_of_a_killed_driver_goes_on_as_itself(make_fake_ray: Callable[..., Any]) -> None:
    killed = make_fake_ray()
    killed.run([0.5])
    lost = killed.start()
    killed.report(lost, 1, 0.6)

    second = make_fake_ray()
    states = [trial.state for trial in second.study.trials]
    assert states == [TrialState.COMPLETE, TrialState.WAITING]
    again = second.start()
    assert again.config == lost.config
    assert len(second.study.trials) == 2, "it keeps its number"
    record = second.searcher.records[again.trial_id]
    assert (record.number, record.fate, record.scores) == (1, None, {1: 0.6})

    second.report(again, 1, 0.6)
    second.report(again, 2, 0.7, done=True)
    trial = second.study.trials[1]
    assert (trial.state, trial.value) == (TrialState.COMPLETE, 0.7)
    assert trial.intermediate_values == {1: 0.6, 2: 0.7}


def test_an_interrupted_trial_goes_on_before_new_ones(make_fake_ray: Callable[..., Any]) -> None:
    first = make_fake_ray()
    begun = [first.start() for _ in range(3)]
    first.report(begun[1], 1, 0.4, done=True)
    first.searcher.close()
    second = make_fake_ray()
    assert [second.start().config for _ in range(2)] == [begun[0].config, begun[2].config]
    assert second.start().config not in [trial.config for trial in begun]
    assert len(second.study.trials) == 4


def test_the_hand_tuned_config_stays_flagged_however_often_it_is_lost(
    make_fake_ray: Callable[..., Any],
) -> None:
    for _ in range(3):
        make_fake_ray().start()
    last = make_fake_ray()
    trial = last.start()
    assert last.searcher.records[trial.trial_id].hand_tuned
    assert trial.config == {"rate": 0.5, "width": 2}


def test_a_trial_that_is_at_work_at_every_kill_is_failed_at_last(
    make_fake_ray: Callable[..., Any],
) -> None:
    for _ in range(MOST_LOSSES + 1):
        make_fake_ray().start()
    last = make_fake_ray()
    assert last.study.trials[0].state is TrialState.FAIL
    record = last.searcher.records["study-0"]
    assert record.fate == "failed"
    assert record.error == "it was at work each of the 6 times that the search was killed"
    assert outcomes(last.searcher.records) == 1
    assert last.start().config != {"rate": 0.5, "width": 2}


def test_ends_well_chosen_are_no_losses(make_fake_ray: Callable[..., Any]) -> None:
    for _ in range(2 * MOST_LOSSES):
        ray = make_fake_ray()
        ray.start()
        ray.searcher.close()
    assert ray.study.trials[0].state is TrialState.WAITING
    assert "losses" not in ray.study.trials[0].user_attrs


def test_records_are_read_back_as_they_were(make_fake_ray: Callable[..., Any]) -> None:
    ray = make_fake_ray()
    ray.run([0.5, 0.7])
    ray.run([0.1])
    ray.run([0.4, 0.0], diverged="loss is nan")
    crashed = ray.start()
    ray.report(crashed, 1, 0.9)
    ray.fail(crashed, RuntimeError("out of luck"))
    for record in ray.searcher.records.values():
        record.retries, record.seconds, record.peak_memory_mb = 1, 2.5, 300.0
    ray.run([0.3])
    written = list(ray.searcher.records.values())
    read = list(records_of(ray.study).values())
    assert [r.number for r in read] == [0, 1, 2, 3, 4]
    for ours, old in zip(read, written, strict=True):
        assert (ours.fate, ours.error, ours.params) == (old.fate, old.error, old.params)
        assert (ours.scores, ours.hand_tuned) == (old.scores, old.hand_tuned)
        assert ours.best("max") == old.best("max")
    assert outcomes(records_of(ray.study)) == 5


def test_costs_are_read_back(make_fake_ray: Callable[..., Any]) -> None:
    ray = make_fake_ray()
    trial = ray.start()
    ray.searcher.records[trial.trial_id].retries = 2
    ray.searcher.records[trial.trial_id].seconds = 7.25
    ray.report(trial, 1, 0.5, done=True, peak_memory_mb=120.0, note="in halves")
    (record,) = records_of(ray.study).values()
    assert (record.retries, record.seconds, record.peak_memory_mb) == (2, 7.25, 120.0)
    assert record.note == "in halves"


def test_what_a_crashed_attempt_reported_beyond_its_retrys_end_is_void(
    make_fake_ray: Callable[..., Any],
) -> None:
    ray = make_fake_ray()
    trial = ray.start()
    for epoch, score in [(1, 0.5), (2, 0.6), (3, 0.9), (1, 0.51)]:
        ray.report(trial, epoch, score)
    ray.report(trial, 2, 0.61, done=True)
    (record,) = records_of(ray.study).values()
    assert record.best("max") == (2, 0.61)
    assert record.epochs == 2


def test_a_study_without_running_trials_is_left_alone(fake_ray: Any) -> None:
    fake_ray.run([0.5])
    before = fake_ray.study.trials
    put_right(fake_ray.study)
    assert fake_ray.study.trials == before


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_search_that_is_killed_and_goes_on_draws_as_if_nothing_had_been(
    make_fake_ray: Callable[..., Any], sampler: str
) -> None:
    def draw(name: str, kills: set[int]) -> list[dict[str, Any]]:
        ray = make_fake_ray(name, seed=3, sampler=sampler)
        for number in range(16):
            trial = ray.start()
            if number in kills:
                ray = make_fake_ray(name, seed=3, sampler=sampler)
                trial = ray.start()
            ray.report(trial, 1, 0.1 * (number % 4), done=True)
        return [trial.params for trial in ray.study.trials]

    unbroken = draw("unbroken", set())
    assert draw("killed", {0, 5, 6, 11, 13}) == unbroken
    assert len({str(params) for params in unbroken}) == 16
