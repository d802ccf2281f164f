"""The Ray trainable, driven as Ray drives it but without a cluster; one test under Ray itself."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import ray
import torch
from ray import tune
from ray.tune.result import SHOULD_CHECKPOINT

from trainables.config import ConfigError
from trainables.modules.classifier import Classifier
from trainables.objective import METRICS, SCORES, worst
from trainables.trainable import (
    RESUME_FROM,
    STATE,
    SentimentTrainable,
    read_state,
    use_assigned_share,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trainables.experiment import Experiment

PARAMS: dict[str, Any] = {
    "batch_size": 8,
    "projection_width": 16,
    "hidden_width": 16,
    "patience": 9,
    "text_unfrozen_layers": 1,
    "image_unfrozen_layers": 1,
}
OTHER = PARAMS | {"head_learning_rate": 0.1, "text_unfrozen_layers": 2, "head_dropout": 0.0}
DIVERGING = PARAMS | {"head_learning_rate": 1e38, "warmup_ratio": 0.0}
SCORED = {*METRICS, *(f"val_{name}_std" for name in SCORES), "train_loss"}
ALWAYS = {"epoch", "diverged", "done", "total_parameters", "trainable_parameters"}
COSTS = {"epoch_seconds", "peak_memory_mb", "head_learning_rate", "backbone_learning_rate"}
BEST = {"val_rows", "val_probabilities"}


@pytest.fixture
def start(
    make_experiment: Callable[..., Experiment], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., SentimentTrainable]:
    """Start trials outside Ray's workers, where the only thing missing is the share of CPUs."""
    monkeypatch.setattr("trainables.trainable.use_assigned_share", lambda: None)

    def make(params: Mapping[str, Any], **changes: Any) -> SentimentTrainable:
        experiment = make_experiment(**changes)

        class Alone(SentimentTrainable):
            def setup(self, config: dict[str, Any]) -> None:  # type: ignore[override] # with_parameters does this
                super().setup(config, experiment)

        return Alone(dict(params))

    return make


def comparable(report: Mapping[str, Any]) -> dict[str, Any]:
    """What a report says of the trial itself, not of time and machine."""
    named = SCORED | ALWAYS | {"head_learning_rate", "backbone_learning_rate"}
    return {name: report[name] for name in sorted(named)}


def steps(trial: SentimentTrainable, count: int) -> list[dict[str, Any]]:
    return [comparable(trial.step()) for _ in range(count)]


def test_a_report_has_every_documented_key_and_is_finite(
    start: Callable[..., SentimentTrainable],
) -> None:
    report = start(PARAMS).step()
    assert set(report) == SCORED | ALWAYS | COSTS | BEST
    numbers = {name: report[name] for name in SCORED | COSTS}
    assert all(math.isfinite(value) for value in numbers.values())
    assert (report["epoch"], report["diverged"], report["done"]) == (1, "", False)
    assert report["total_parameters"] > report["trainable_parameters"] > 0
    assert report["val_probabilities"].shape == (6, 3)
    assert report["val_rows"].tolist() == [0, 5, 10, 15, 20, 25]


def test_probabilities_come_with_best_epochs_only(
    start: Callable[..., SentimentTrainable],
) -> None:
    trial = start(PARAMS, metric="val_loss", max_epochs=5)
    best = math.inf
    for _ in range(5):
        report = trial.step()
        assert (report.keys() >= BEST) == (report["val_loss"] < best)
        best = min(best, report["val_loss"])


def test_a_trial_is_done_after_its_epochs(start: Callable[..., SentimentTrainable]) -> None:
    trial = start(PARAMS, max_epochs=3)
    assert [trial.step()["done"] for _ in range(3)] == [False, False, True]


def test_a_trial_that_stalls_is_done_after_its_patience(
    start: Callable[..., SentimentTrainable],
) -> None:
    # Rates that move no weight: no epoch is better than the first, and no loss lower.
    still = {"head_learning_rate": 1e-30, "backbone_learning_rate": 1e-30}
    trial = start(PARAMS | still | {"patience": 1}, metric="val_accuracy")
    assert [trial.step()["done"] for _ in range(2)] == [False, True]


@pytest.mark.parametrize("metric", ["val_weighted_f1", "val_loss"])
def test_a_diverged_trial_reports_the_worst_finite_score_and_why(
    start: Callable[..., SentimentTrainable], metric: str
) -> None:
    trial = start(DIVERGING, metric=metric, max_epochs=9)
    reports = [trial.step()]
    while not reports[-1]["done"]:
        reports.append(trial.step())
    last = reports[-1]
    assert last["diverged"].startswith(("training loss is ", "validation loss is "))
    assert last["diverged"].endswith("lower the learning rates")
    assert last[metric] == worst(metric)
    assert set(last) == SCORED | ALWAYS
    assert all(math.isfinite(last[name]) for name in SCORED)
    assert last["epoch"] == len(reports)


def test_a_reused_process_starts_the_next_trial_afresh(
    start: Callable[..., SentimentTrainable],
) -> None:
    trial = start(OTHER)
    steps(trial, 2)
    torch.manual_seed(5)
    assert trial.reset_config(dict(PARAMS)) is True
    assert steps(trial, 3) == steps(start(PARAMS), 3)


def test_a_process_is_sound_after_a_trial_that_diverged(
    start: Callable[..., SentimentTrainable],
) -> None:
    trial = start(DIVERGING, max_epochs=9)
    while not trial.step()["done"]:
        pass
    assert trial.reset_config(dict(PARAMS)) is True
    assert steps(trial, 2) == steps(start(PARAMS, max_epochs=9), 2)


@pytest.mark.parametrize("reused", [False, True])
def test_a_trial_resumed_from_its_checkpoint_equals_an_unbroken_one(
    start: Callable[..., SentimentTrainable], tmp_path: Path, reused: bool
) -> None:
    unbroken = start(PARAMS)
    expected = steps(unbroken, 3)
    broken = start(PARAMS)
    steps(broken, 1)
    broken.save_checkpoint(str(tmp_path))
    resumed = start(OTHER if reused else PARAMS)
    if reused:
        steps(resumed, 1)
        resumed.reset_config(dict(PARAMS))
    resumed.load_checkpoint(str(tmp_path))
    assert steps(resumed, 2) == expected[1:]


def test_a_checkpoint_is_safe_to_load_and_holds_no_frozen_tower(
    start: Callable[..., SentimentTrainable], tmp_path: Path
) -> None:
    trial = start(PARAMS | {"text_unfrozen_layers": 0, "image_unfrozen_layers": 0})
    trial.step()
    trial.save_checkpoint(str(tmp_path))
    state = torch.load(tmp_path / STATE, weights_only=True)
    assert state["epoch"] == 1
    assert all(name.startswith("head.") for name in state["trainers"][0]["classifier"])


def test_a_checkpoint_can_be_taken_before_the_first_epoch(
    start: Callable[..., SentimentTrainable], tmp_path: Path
) -> None:
    start(PARAMS).save_checkpoint(str(tmp_path))
    resumed = start(PARAMS)
    resumed.load_checkpoint(str(tmp_path))
    assert steps(resumed, 2) == steps(start(PARAMS), 2)


def test_checkpoints_are_asked_for_when_the_last_is_old_and_the_trial_goes_on(
    start: Callable[..., SentimentTrainable], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clock = [0.0]
    monkeypatch.setattr("trainables.trainable.time.monotonic", lambda: clock[0])
    trial = start(PARAMS, max_epochs=4)
    asked = []
    for now in (30.0, 61.0, 62.0, 200.0):
        clock[0] = now
        asked.append(trial.step().get(SHOULD_CHECKPOINT, False))
        if asked[-1]:
            trial.save_checkpoint(str(tmp_path))
    assert asked == [False, True, False, False]


def test_bad_hyperparameters_raise_in_the_first_step_where_ray_retries(
    start: Callable[..., SentimentTrainable],
) -> None:
    trial = start(PARAMS)
    assert trial.reset_config({"batch_size": 0}) is True
    with pytest.raises(ConfigError, match="batch_size must be >= 1, got 0"):
        trial.step()


class SmallMemory:
    """A GPU that holds so many samples of a training step."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
        self.most, self.seen = most, list[int]()
        forward = Classifier.branches

        def branches(classifier: Classifier, batch: Any) -> Any:
            logits = forward(classifier, batch)
            (rows,) = {len(value) for value in logits.values()}
            if classifier.training:
                self.seen.append(rows)
                if rows > self.most:
                    msg = "CUDA out of memory"
                    raise torch.OutOfMemoryError(msg)
            return logits

        monkeypatch.setattr(Classifier, "branches", branches)


def test_a_step_that_does_not_fit_the_memory_is_computed_in_two_parts(
    start: Callable[..., SentimentTrainable], monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = PARAMS | {"head_dropout": 0.0}  # dropout draws other noise for other parts
    expected = start(exact).step()
    memory = SmallMemory(monkeypatch, most=4)
    trial = start(exact)
    report = trial.step()
    assert memory.seen[0] == 8
    assert set(memory.seen[1:]) == {4}
    for name in METRICS:
        assert report[name] == pytest.approx(expected[name], abs=1e-4)
    assert report["train_loss"] == pytest.approx(expected["train_loss"], abs=1e-4)
    assert report["note"] == (
        "out of GPU memory with 8 samples at a time: each step was computed in 2 parts"
    )
    memory.seen.clear()
    assert trial.step()["epoch"] == 2
    assert set(memory.seen) == {4}, "it does not try again what failed"
    trial.reset_config(dict(exact))
    memory.most = 8
    assert "note" not in trial.step(), "the next trial begins with whole batches"


def test_memory_that_ends_in_a_later_epoch_costs_no_epoch(
    start: Callable[..., SentimentTrainable], monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = PARAMS | {"head_dropout": 0.0}
    reference = start(exact)
    expected = [reference.step() for _ in range(3)][-1]
    memory = SmallMemory(monkeypatch, most=8)
    trial = start(exact)
    assert [trial.step()["epoch"] for _ in range(2)] == [1, 2]
    memory.most = 4
    report = trial.step()
    assert report["epoch"] == 3
    assert report["train_loss"] == pytest.approx(expected["train_loss"], abs=5e-3)
    assert trial._ensure().epoch == 3


def test_halves_that_do_not_fit_either_are_an_error(
    start: Callable[..., SentimentTrainable], monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = SmallMemory(monkeypatch, most=3)
    with pytest.raises(torch.OutOfMemoryError):
        start(PARAMS).step()
    assert memory.seen == [8, 4]


def test_a_share_of_a_gpu_caps_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    capped: list[float] = []
    for share, expected in ((0.25, [0.25]), (1.0, []), (0.0, [])):
        context = SimpleNamespace(
            get_assigned_resources=lambda share=share: {"CPU": 0.5, "GPU": share}
        )
        monkeypatch.setattr(ray, "get_runtime_context", lambda context=context: context)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", capped.append)
        capped.clear()
        use_assigned_share()
        assert capped == expected


def test_a_trial_goes_on_from_the_checkpoint_of_an_earlier_attempt(
    start: Callable[..., SentimentTrainable], tmp_path: Path
) -> None:
    expected = steps(start(PARAMS), 3)
    killed = start(PARAMS)
    steps(killed, 2)
    killed.save_checkpoint(str(tmp_path))
    resumed = start(PARAMS | {RESUME_FROM: str(tmp_path)})
    assert steps(resumed, 1) == expected[2:]


@pytest.mark.parametrize("damage", ["missing", "torn", "empty"])
def test_a_checkpoint_that_a_kill_tore_costs_epochs_but_no_trial(
    start: Callable[..., SentimentTrainable], tmp_path: Path, damage: str
) -> None:
    killed = start(PARAMS)
    steps(killed, 1)
    killed.save_checkpoint(str(tmp_path))
    state = tmp_path / STATE
    if damage == "missing":
        state.unlink()
    else:
        state.write_bytes(state.read_bytes()[: 1000 if damage == "torn" else 0])
    resumed = start(PARAMS | {RESUME_FROM: str(tmp_path)})
    assert steps(resumed, 1) == steps(start(PARAMS), 1)


def test_a_checkpoint_with_code_in_it_is_not_executed(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "touched",))

    torch.save({"epoch": 1, "code": Evil()}, tmp_path / STATE)
    assert read_state(str(tmp_path)) is None
    assert not (tmp_path / "touched").exists()


@pytest.mark.slow
def test_trials_under_ray_share_a_process_and_equal_trials_without_it(
    start: Callable[..., SentimentTrainable],
    make_experiment: Callable[..., Experiment],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rates = (1e-3, 1e38, 0.1)
    params = {**PARAMS, "warmup_ratio": 0.0}
    alone = {
        rate: start({**params, "head_learning_rate": rate}, max_epochs=2) for rate in (1e-3, 0.1)
    }
    expected = {rate: steps(trial, 2)[-1] for rate, trial in alone.items()}
    # Workers are not patched: there, the share of CPUs is Ray's.
    monkeypatch.undo()
    trainable = tune.with_parameters(
        SentimentTrainable, experiment=make_experiment(max_epochs=2, cache=tmp_path / "cache")
    )
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    try:
        results = tune.Tuner(
            tune.with_resources(trainable, {"cpu": 1}),
            param_space={**params, "head_learning_rate": tune.grid_search(list(rates))},
            tune_config=tune.TuneConfig(reuse_actors=True, max_concurrent_trials=1),
            run_config=tune.RunConfig(storage_path=str(tmp_path / "ray"), verbose=0),
        ).fit()
    finally:
        ray.shutdown()
    assert results.errors == []
    reports: dict[float, Any] = {
        result.config["head_learning_rate"]: result.metrics for result in results
    }
    assert {report["pid"] for report in reports.values()} == {reports[1e-3]["pid"]}
    assert {rate: comparable(reports[rate]) for rate in expected} == expected
    assert reports[1e38]["diverged"] != ""
    assert reports[1e38]["val_weighted_f1"] == 0
