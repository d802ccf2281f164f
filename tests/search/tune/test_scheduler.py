from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from search.errors import one_line

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("score", [math.nan, -math.inf, None, "high"])
def test_a_score_that_cannot_be_compared_stops_the_trial(fake_ray: Any, score: Any) -> None:
    trial = fake_ray.start()
    result = {"epoch": 1} | ({} if score is None else {"val_weighted_f1": score})
    assert fake_ray.asha.on_trial_result(None, trial, result) == "STOP"
    assert not fake_ray.searcher.records["ray-0"].stopped


def test_a_numpy_score_is_a_score(fake_ray: Any) -> None:
    result = {"epoch": 1, "val_weighted_f1": np.float32(0.5)}
    assert fake_ray.asha.on_trial_result(None, fake_ray.start(), result) == "CONTINUE"


def test_a_score_that_is_not_finite_does_not_raise_the_bar_for_others(fake_ray: Any) -> None:
    for score in (math.nan, math.inf, 0.5, 0.5):
        fake_ray.run([score, 0.5])
    rungs = [values for _, rung in fake_ray.asha._brackets[0]._rungs for values in rung.values()]
    assert rungs
    assert set(rungs) == {0.5}


def test_the_placeholder_score_of_a_diverged_trial_enters_no_rung(fake_ray: Any) -> None:
    fake_ray.run([0.0], diverged="loss is nan")
    assert not any(rung for _, rung in fake_ray.asha._brackets[0]._rungs)


def test_a_trial_at_its_last_epoch_has_run_its_course(fake_ray: Any) -> None:
    trial = fake_ray.start()
    for epoch in range(1, 9):
        assert fake_ray.report(trial, epoch, 0.5)
    assert not fake_ray.report(trial, 9, 0.5), "ASHA ends it at max_epochs"
    assert fake_ray.searcher.records["ray-0"].fate == "finished"


def test_the_worst_third_goes_on_only_above_the_cutoff(fake_ray: Any) -> None:
    # Reduction factor 3: stop below the 66.7th percentile of what the rung has: 0.2333 here.
    for score in (0.1, 0.2, 0.3):
        fake_ray.report(fake_ray.start(), 1, score)
    assert not fake_ray.report(fake_ray.start(), 1, 0.23)
    assert fake_ray.report(fake_ray.start(), 1, 0.24)


def test_rungs_rebuilt_from_the_study_decide_as_the_old_ones(
    make_fake_ray: Callable[..., Any],
) -> None:
    old = make_fake_ray()
    for score in (0.9, 0.8, 0.7):
        old.run([score] * 5)
    rungs = [(m, sorted(r.values())) for m, r in old.asha._brackets[0]._rungs]
    assert rungs == [(9, []), (3, [0.9]), (1, [0.7, 0.8, 0.9])]

    rebuilt = make_fake_ray()
    rebuilt.asha.rebuild(rebuilt.study.trials)
    assert [(m, sorted(r.values())) for m, r in rebuilt.asha._brackets[0]._rungs] == rungs
    assert not rebuilt.report(rebuilt.start(), 1, 0.1)
    fresh = make_fake_ray()
    assert fresh.report(fresh.start(), 1, 0.1), "an empty rung stops nothing"


def rungs_of(ray: Any) -> list[tuple[float, list[float]]]:
    return [(least, sorted(rung.values())) for least, rung in ray.asha._brackets[0]._rungs]


@pytest.mark.parametrize("lost", [0, 1, 99])
@pytest.mark.parametrize("told", range(1, 9))
def test_a_trial_that_goes_on_enters_the_rungs_as_if_unbroken(
    make_fake_ray: Callable[..., Any], told: int, lost: int
) -> None:
    def begin(ray: Any, last: int) -> Any:
        ray.run([0.25, 0.0], diverged="loss is nan")
        ray.run([0.2, 0.1])
        trial = ray.start()
        for epoch in range(1, last + 1):
            assert ray.report(trial, epoch, (epoch + 2) / 10)
        return trial

    unbroken = make_fake_ray("unbroken")
    trial = begin(unbroken, 8)
    stopper = make_fake_ray()
    begin(stopper, told)
    stopper.searcher.close()
    resumed = make_fake_ray()
    resumed.asha.rebuild(resumed.study.trials)
    again = resumed.start()
    for epoch in range(max(0, told - lost) + 1, 9):  # from the last checkpoint
        assert resumed.report(again, epoch, (epoch + 2) / 10)
    assert rungs_of(resumed) == rungs_of(unbroken)
    for ray, one in ((unbroken, trial), (resumed, again)):
        assert not ray.report(one, 9, 1.1)
    assert (
        rungs_of(resumed) == rungs_of(unbroken) == [(9, [1.1]), (3, [0.5]), (1, [0.2, 0.25, 0.3])]
    )


@pytest.mark.parametrize("checkpoint", [0, 2, 4])
def test_a_retry_enters_no_rung_twice(fake_ray: Any, checkpoint: int) -> None:
    trial = fake_ray.start()
    for epoch in [*range(1, 5), *range(checkpoint + 1, 9)]:
        assert fake_ray.report(trial, epoch, epoch / 10)
    assert rungs_of(fake_ray) == [(9, []), (3, [0.3]), (1, [0.1])]


def test_a_trial_whose_first_epochs_are_lost_enters_only_rungs_that_it_meets(
    fake_ray: Any,
) -> None:
    trial = fake_ray.start()
    for epoch in (7, 8):
        assert fake_ray.report(trial, epoch, 0.5)
    assert rungs_of(fake_ray) == [(9, []), (3, []), (1, [])]


def test_what_a_crashed_attempt_scored_after_the_end_of_its_retry_is_void(
    make_fake_ray: Callable[..., Any],
) -> None:
    ray = make_fake_ray()
    trial = ray.start()
    for epoch in (1, 2, 3, 1):
        ray.report(trial, epoch, 0.5)
    ray.report(trial, 2, 0.5, done=True)
    rebuilt = make_fake_ray()
    rebuilt.asha.rebuild(rebuilt.study.trials)
    assert rungs_of(ray) == rungs_of(rebuilt) == [(9, []), (3, []), (1, [0.5])]


def test_a_loss_is_stopped_where_it_is_high(make_fake_ray: Callable[..., Any]) -> None:
    ray = make_fake_ray(metric="val_loss")
    for score in (0.1, 0.2, 0.3):
        ray.run([score] * 2)
    assert not ray.report(ray.start(), 1, 0.9)
    assert ray.searcher.records["ray-3"].fate == "stopped"


def test_an_error_is_told_in_one_line_with_its_type() -> None:
    assert one_line(ValueError("a\n  b")) == "ValueError: a b"
    assert one_line(ValueError()) == "ValueError: no message"
    assert one_line(None) == "unknown: Ray kept no error"
    assert len(one_line(ValueError("x" * 9999))) == 500


def test_the_cause_of_a_remote_error_is_what_is_told() -> None:
    remote = RuntimeError("a traceback of forty lines")
    remote.cause = KeyError("width")  # type: ignore[attr-defined]  # as Ray's errors have
    assert one_line(remote) == "KeyError: 'width'"


def test_open_blocks_are_not_compared_with_frozen_heads(make_fake_ray: Callable[..., Any]) -> None:
    def start(ray: Any, layers: int) -> Any:
        trial = ray.start()
        record = ray.searcher.records[trial.trial_id]
        record.params = {**record.params, "text_unfrozen_layers": layers}
        ray.asha.on_trial_add(None, trial)
        return trial

    ray = make_fake_ray()
    for score in (0.7, 0.8, 0.9):
        ray.report(start(ray, 0), 1, score)
    first = start(ray, 1)
    assert ray.report(first, 1, 0.2), "the first of its kind has none to be behind"
    assert not ray.report(start(ray, 2), 1, 0.1)
    assert not ray.report(start(ray, 0), 1, 0.3)
    assert ray.report(first, 2, 0.2)
