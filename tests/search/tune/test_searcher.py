from __future__ import annotations

import errno
import math
import pickle
from typing import TYPE_CHECKING, Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def only(study: optuna.Study, number: int = 0) -> optuna.trial.FrozenTrial:
    return study.trials[number]


def test_a_trial_that_ran_its_course_is_told_its_best_epoch(fake_ray: Any) -> None:
    fake_ray.run([0.5, 0.7, 0.6])
    trial = only(fake_ray.study)
    assert trial.state is TrialState.COMPLETE
    assert trial.value == 0.7
    assert trial.intermediate_values == {1: 0.5, 2: 0.7, 3: 0.6}
    assert trial.user_attrs["best_epoch"] == 2
    assert trial.user_attrs["fate"] == "finished"


def test_a_loss_is_best_where_it_is_lowest(make_fake_ray: Callable[..., Any]) -> None:
    ray = make_fake_ray(metric="val_loss")
    ray.run([0.5, 0.3, 0.4])
    assert ray.study.direction is optuna.study.StudyDirection.MINIMIZE
    assert only(ray.study).value == 0.3


def test_the_first_of_equal_epochs_is_the_best(fake_ray: Any) -> None:
    fake_ray.run([0.5, 0.7, 0.7])
    assert only(fake_ray.study).user_attrs["best_epoch"] == 2


def test_a_trial_that_asha_stops_is_told_pruned_with_its_last_report(fake_ray: Any) -> None:
    for score in (0.9, 0.8, 0.7):
        fake_ray.run([score] * 3)
    fake_ray.run([0.1, 0.9, 0.9])
    trial = only(fake_ray.study, 3)
    assert trial.state is TrialState.PRUNED
    assert trial.intermediate_values == {1: 0.1}
    assert trial.user_attrs["fate"] == "stopped"


def test_a_trial_that_ends_on_its_own_at_a_rung_is_not_called_stopped(fake_ray: Any) -> None:
    for score in (0.9, 0.8, 0.7):
        fake_ray.run([score] * 3)
    fake_ray.run([0.1])
    assert only(fake_ray.study, 3).state is TrialState.COMPLETE


def test_a_diverged_trial_is_a_failure_with_its_reason(fake_ray: Any) -> None:
    fake_ray.run([0.5, 0.0], diverged="loss is nan at step 3")
    trial = only(fake_ray.study)
    assert trial.state is TrialState.FAIL
    assert trial.user_attrs["fate"] == "diverged"
    assert trial.user_attrs["error"] == "loss is nan at step 3"
    record = fake_ray.searcher.records["ray-0"]
    assert record.scores == {1: 0.5}, "the placeholder score of a diverged epoch is no score"


@pytest.mark.parametrize("score", [math.nan, math.inf, None])
def test_a_score_that_is_missing_or_not_finite_ends_as_diverged(
    fake_ray: Any, score: float | None
) -> None:
    fake_ray.run([0.5, score, 0.6])
    trial = only(fake_ray.study)
    assert trial.state is TrialState.FAIL
    assert trial.user_attrs["fate"] == "diverged"
    assert "val_weighted_f1 must be a finite number, got" in trial.user_attrs["error"]
    assert "at epoch 2" in trial.user_attrs["error"]


def test_a_crash_is_a_failure_with_its_reason(fake_ray: Any) -> None:
    trial = fake_ray.start()
    fake_ray.report(trial, 1, 0.5)
    fake_ray.fail(trial, RuntimeError("out of\nluck"))
    assert only(fake_ray.study).state is TrialState.FAIL
    assert only(fake_ray.study).user_attrs["error"] == "RuntimeError: out of luck"
    assert only(fake_ray.study).user_attrs["fate"] == "failed"


@pytest.mark.filterwarnings("error")  # Optuna warns of an epoch that is reported twice
def test_a_retry_reports_no_epoch_twice(fake_ray: Any) -> None:
    trial = fake_ray.start()
    for epoch, score in [(1, 0.5), (2, 0.9), (1, 0.51), (2, 0.61), (3, 0.71)]:
        fake_ray.report(trial, epoch, score)
    assert only(fake_ray.study).intermediate_values == {1: 0.5, 2: 0.9, 3: 0.71}


def test_a_retry_voids_what_the_crashed_attempt_scored(fake_ray: Any) -> None:
    trial = fake_ray.start()
    for epoch, score in [(1, 0.5), (2, 0.6), (3, 0.9), (1, 0.51)]:
        fake_ray.report(trial, epoch, score)
    fake_ray.report(trial, 2, 0.61, done=True)
    assert only(fake_ray.study).value == 0.61
    assert fake_ray.searcher.records["ray-0"].scores == {1: 0.51, 2: 0.61}


def test_what_still_runs_at_the_end_waits_to_go_on(fake_ray: Any) -> None:
    fake_ray.report(fake_ray.start(), 1, 0.5)
    fake_ray.start()
    fake_ray.searcher.close()
    assert [trial.state for trial in fake_ray.study.trials] == [TrialState.WAITING] * 2
    assert [r.fate for r in fake_ray.searcher.records.values()] == ["interrupted"] * 2
    assert only(fake_ray.study).user_attrs["objective"] == 0.5


def test_the_hand_tuned_config_is_first_and_flagged(fake_ray: Any) -> None:
    first, second = fake_ray.start(), fake_ray.start()
    assert first.config == {"rate": 0.5, "width": 2}
    records = fake_ray.searcher.records
    assert [r.hand_tuned for r in records.values()] == [True, False]
    assert second.config != first.config


def test_the_hand_tuned_config_is_not_tried_again_on_an_old_study(
    make_fake_ray: Callable[..., Any],
) -> None:
    make_fake_ray().run([0.5])
    again = make_fake_ray()
    again.run([0.5])
    assert [t.user_attrs["hand_tuned"] for t in again.study.trials] == [True, False]


def test_the_same_seed_draws_the_same_trials(make_fake_ray: Callable[..., Any]) -> None:
    def draw(name: str, seed: int) -> list[dict[str, Any]]:
        ray = make_fake_ray(name, seed=seed)
        for number in range(14):
            ray.run([0.1 * (number % 4)])
        return [trial.params for trial in ray.study.trials]

    drawn = draw("a", 3)
    assert draw("b", 3) == drawn


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_no_trial_of_another_seed_draws_the_same(
    make_fake_ray: Callable[..., Any], sampler: str
) -> None:
    drawn = []
    for seed in (0, 1, 2):
        ray = make_fake_ray(f"{seed}", seed=seed, sampler=sampler)
        for _ in range(6):
            ray.run([0.5])
        drawn += [trial.params["rate"] for trial in ray.study.trials[1:]]
    assert len(set(drawn)) == len(drawn) == 15


def test_the_study_file_alone_tells_the_story(fake_ray: Any, tmp_path: Path) -> None:
    fake_ray.run([0.5, 0.7])
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "study.journal")))
    trial = optuna.load_study(study_name="toy", storage=storage).trials[0]
    assert trial.params == {"rate": 0.5, "width": 2}
    assert trial.user_attrs == {
        "fate": "finished",
        "error": "",
        "note": "",
        "hand_tuned": True,
        "epochs": 2,
        "seconds": 0.0,
        "retries": 0,
        "peak_memory_mb": 0.0,
        "best_epoch": 2,
        "objective": 0.7,
    }


def test_ray_may_pickle_the_searcher_at_any_time(fake_ray: Any, tmp_path: Path) -> None:
    fake_ray.start()
    copy = pickle.loads(pickle.dumps(fake_ray.searcher))
    assert copy.records.keys() == {"ray-0"}
    fake_ray.searcher.save(str(tmp_path / "searcher.pkl"))
    assert (tmp_path / "searcher.pkl").read_bytes() == b""


def test_a_search_is_not_restored_from_rays_files(fake_ray: Any) -> None:
    with pytest.raises(NotImplementedError, match="goes on from its study"):
        fake_ray.searcher.restore("x.pkl")


def test_a_study_that_cannot_be_written_ends_the_search_and_stays_sound(
    make_fake_ray: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = make_fake_ray()
    ray.run([0.5])
    lost = ray.start()

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(JournalFileBackend, "append_logs", full)
    ray.report(lost, 1, 0.4, done=True)
    assert ray.stopper.stop_all()
    assert ray.stopper.fault.errno == errno.ENOSPC
    assert ray.searcher.suggest("late") is None
    ray.searcher.close()

    monkeypatch.undo()
    again = make_fake_ray()
    assert [t.state for t in again.study.trials] == [TrialState.COMPLETE, TrialState.WAITING]
    assert again.start().config == lost.config


def test_a_trial_that_the_disk_failed_waits_to_be_begun_again(
    make_fake_ray: Callable[..., Any],
) -> None:
    ray = make_fake_ray()
    trial = ray.start()
    ray.fail(trial, OSError(errno.ENOSPC, "No space left on device"))
    assert only(ray.study).state is TrialState.WAITING
    assert ray.searcher.records["ray-0"].fate == "interrupted"
