"""The Ray trainable, driven as Ray drives it but without a cluster; one test under Ray itself."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import ray
import torch
from ray import tune
from threadpoolctl import threadpool_info, threadpool_limits

from tests.trainables.conftest import ALWAYS, OTHER, PARAMS, SCORED, comparable, steps
from trainables.config import ConfigError
from trainables.evaluation.metrics import score_of
from trainables.trainable import SentimentTrainable, use_assigned_share

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trainables.experiment import Experiment

DIVERGING = PARAMS | {"head_learning_rate": 1e38, "warmup_ratio": 0.0}
COSTS = {"epoch_seconds", "peak_memory_mb", "head_learning_rate", "backbone_learning_rate"}
BEST = {"val_rows", "val_probabilities"}


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


@pytest.mark.slow
def test_probabilities_come_with_best_epochs_only(
    start: Callable[..., SentimentTrainable],
) -> None:
    trial = start(PARAMS, metric="val_loss", max_epochs=5)
    best = math.inf
    for _ in range(5):
        report = trial.step()
        assert (report.keys() >= BEST) == (report["val_loss"] < best)
        best = min(best, report["val_loss"])


@pytest.mark.slow
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
    assert last[metric] == score_of(metric).worst
    assert set(last) == {metric} | ALWAYS, "nothing else stands for scores that it has not"
    assert last["epoch"] == len(reports)


@pytest.mark.slow
def test_a_reused_process_starts_the_next_trial_afresh(
    start: Callable[..., SentimentTrainable],
) -> None:
    trial = start(OTHER)
    steps(trial, 2)
    torch.manual_seed(5)
    assert trial.reset_config(dict(PARAMS)) is True
    assert steps(trial, 3) == steps(start(PARAMS), 3)


@pytest.mark.slow
def test_a_process_is_sound_after_a_trial_that_diverged(
    start: Callable[..., SentimentTrainable],
) -> None:
    trial = start(DIVERGING, max_epochs=9)
    while not trial.step()["done"]:
        pass
    assert trial.reset_config(dict(PARAMS)) is True
    assert steps(trial, 2) == steps(start(PARAMS, max_epochs=9), 2)


def test_bad_hyperparameters_raise_in_the_first_step_where_ray_retries(
    start: Callable[..., SentimentTrainable],
) -> None:
    trial = start(PARAMS)
    assert trial.reset_config({"batch_size": 0}) is True
    with pytest.raises(ConfigError, match="batch_size must be >= 1, got 0"):
        trial.step()


def blas() -> list[dict[str, Any]]:
    return [library for library in threadpool_info() if library["user_api"] == "blas"]


def test_a_trial_computes_where_ray_gave_it_a_share_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    capped: list[float] = []
    gpu = SimpleNamespace(total_memory=12e9)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: gpu)
    for share, device, expected in (
        (0.25, "cuda", [0.2]),  # 3,000 MB, without 600 of CUDA's own
        (1.0, "cuda", [1.0]),  # whatever the process was held to before
        (2.0, "cuda", [1.0]),
        (0.0, "cpu", []),  # though the GPU is there to be seen
    ):
        context = SimpleNamespace(
            get_assigned_resources=lambda share=share: {"CPU": 0.5, "GPU": share}
        )
        monkeypatch.setattr(ray, "get_runtime_context", lambda context=context: context)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", capped.append)
        capped.clear()
        assert use_assigned_share() == torch.device(device)
        assert capped == pytest.approx(expected)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with threadpool_limits(2, "blas"):  # as a process may have loaded it
        assert use_assigned_share() == torch.device("cpu")
        assert {one["num_threads"] for one in blas()} == {1}


def test_what_computes_on_the_cpu_leaves_its_gpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    context = SimpleNamespace(get_assigned_resources=lambda: {"CPU": 1.0, "GPU": 1.0})
    monkeypatch.setattr(ray, "get_runtime_context", lambda: context)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: pytest.fail("it looked"))
    assert use_assigned_share(gpu=False) == torch.device("cpu")


def test_a_trial_trains_on_the_device_that_it_was_given(
    start: Callable[..., SentimentTrainable],
) -> None:
    assert start(PARAMS)._bench.device == torch.device("cpu")


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
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
    results = tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1}),
        param_space={**params, "head_learning_rate": tune.grid_search(list(rates))},
        tune_config=tune.TuneConfig(reuse_actors=True, max_concurrent_trials=1),
        run_config=tune.RunConfig(storage_path=str(tmp_path / "ray"), verbose=0),
    ).fit()
    assert results.errors == []
    reports: dict[float, Any] = {
        result.config["head_learning_rate"]: result.metrics for result in results
    }
    assert {report["pid"] for report in reports.values()} == {reports[1e-3]["pid"]}
    assert {rate: comparable(reports[rate]) for rate in expected} == expected
    assert reports[1e38]["diverged"] != ""
    assert reports[1e38]["val_weighted_f1"] == 0
