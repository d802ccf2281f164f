"""Folds in lock step equal folds alone; runs end, resume and know their best."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pytest
import torch

from tests.conftest import parameters_of
from tests.trainables.training.conftest import LABELS, config_of, fold_of, run_of, trainer_of
from trainables.evaluation.classes import SENTIMENTS
from trainables.evaluation.decision import Precision, decide
from trainables.evaluation.metrics import scores_of
from trainables.evaluation.scores import classification_scores
from trainables.training.fold import DivergedError, Validation
from trainables.training.lockstep import LockstepRun

if TYPE_CHECKING:
    from pathlib import Path

    from trainables.training.lockstep import EpochScores


class Scripted:
    """A trainer whose validation loss is given; it is right in one of two."""

    val = torch.arange(2)
    learning_rates = (0.1, 0.01)

    def __init__(self, losses: list[float]) -> None:
        self.losses = iter(losses)

    def train_epoch(self) -> float:
        return 1.0

    def validate(self) -> Validation:
        return Validation(np.array([[0.9, 0.05, 0.05]] * 2), next(self.losses), {})


def scripted_run(*losses: list[float], metric: str = "val_loss", **values: Any) -> LockstepRun:
    trainers: Any = [Scripted(fold) for fold in losses]
    return LockstepRun(trainers, LABELS, config_of(max_epochs=9, **values), metric)


def comparable(scores: EpochScores) -> dict[str, float]:
    return {name: value for name, value in scores.metrics.items() if name != "epoch_seconds"}


@pytest.mark.parametrize("precision", get_args(Precision))
def test_folds_in_lock_step_equal_each_fold_alone(precision: Precision) -> None:
    config = config_of()
    together = run_of(config, folds=3, precision=precision)
    history = [together.next_epoch() for _ in range(3)]
    for k, trainer in enumerate(together.trainers):
        alone = trainer_of(config, k, seed=3 + k, precision=precision)
        for epoch in history:
            alone.train_epoch()
            probabilities = alone.validate().probabilities
            assert (epoch.probabilities[9 * k : 9 * (k + 1)] == probabilities).all()
        for got, wanted in zip(parameters_of([trainer]), parameters_of([alone]), strict=True):
            assert torch.equal(got, wanted)


def test_scores_are_the_mean_and_spread_over_folds() -> None:
    config = config_of(neutral_threshold=0.4)
    scores = run_of(config, folds=3).next_epoch()
    per_fold = [
        classification_scores(LABELS[fold_of(k).val], decide(values, 0.4))
        for k, values in enumerate(np.split(scores.probabilities, 3))
    ]
    for name in per_fold[0]:
        values = [fold[name] for fold in per_fold]
        assert scores.metrics[f"val_{name}"] == pytest.approx(np.mean(values))
        assert scores.metrics[f"val_{name}_std"] == pytest.approx(np.std(values))


def test_the_loss_is_the_mean_over_folds() -> None:
    metrics = scripted_run([1.0], [2.0], [6.0]).next_epoch().metrics
    assert metrics["val_loss"] == pytest.approx(3)
    assert metrics["val_loss_std"] == pytest.approx((14 / 3) ** 0.5)
    assert metrics["train_loss"] == 1


def test_out_of_fold_probabilities_come_with_their_rows() -> None:
    scores = run_of(config_of(), folds=5).next_epoch()
    assert scores.rows.tolist() == np.concatenate([fold_of(k).val for k in range(5)]).tolist()
    assert sorted(scores.rows) == list(range(45))
    assert scores.probabilities.shape == (45, 3)
    assert scores.probabilities.dtype == np.float32
    assert scores.probabilities.sum(axis=1) == pytest.approx(np.ones(45), abs=1e-5)


def test_a_report_has_every_metric_and_what_the_epoch_cost() -> None:
    metrics = run_of(config_of(warmup_ratio=0.5)).next_epoch().metrics
    spreads = {f"val_{name}_std" for name in scores_of(SENTIMENTS)}
    more = {"train_loss", "head_learning_rate", "backbone_learning_rate", "epoch_seconds"}
    assert set(metrics) == {*(f"val_{name}" for name in scores_of(SENTIMENTS)), *spreads, *more}
    assert np.isfinite(list(metrics.values())).all()
    # The rates are those that the epoch began with: the first of 15 steps of a warm-up.
    assert metrics["head_learning_rate"] == pytest.approx(1e-2 / 16)
    assert metrics["backbone_learning_rate"] == pytest.approx(5e-5 / 16)


@pytest.mark.parametrize(
    ("metric", "losses", "best"),
    [
        ("val_loss", [3.0, 2.0, 2.5, 1.0, 1.0], [True, True, False, True, False]),
        # The scripted trainer's accuracy never changes.
        ("val_accuracy", [3.0, 2.0, 1.0], [True, False, False]),
    ],
)
def test_an_epoch_is_best_where_the_objective_is_strictly_better(
    metric: str, losses: list[float], best: list[bool]
) -> None:
    run = scripted_run(losses, metric=metric, patience=9)
    assert [run.next_epoch().is_best for _ in losses] == best
    assert run.best_epoch == max(i + 1 for i, is_best in enumerate(best) if is_best)


def test_more_is_better_for_scores_and_less_for_the_loss() -> None:
    for metric, value in (("val_loss", 0.5), ("val_accuracy", 0.5)):
        run = scripted_run([0.5], metric=metric)
        run.best = 0.7
        assert run.next_epoch().is_best == (metric == "val_loss")
        assert run.best == (value if metric == "val_loss" else 0.7)


def test_patience_ends_a_run_that_stalls() -> None:
    run = scripted_run([2.0, 1.0, 1.5, 1.5, 1.5], patience=2)
    finished = []
    for _ in range(4):
        assert not run.finished
        run.next_epoch()
        finished.append(run.finished)
    assert finished == [False, False, False, True]
    assert (run.epoch, run.best_epoch, run.best) == (4, 2, 1.0)


def test_a_falling_loss_keeps_a_run_going_whose_objective_stalls() -> None:
    run = scripted_run([5.0, 4.0, 3.0, 3.5, 3.5, 3.5], metric="val_accuracy", patience=2)
    finished = []
    for _ in range(5):
        run.next_epoch()
        finished.append(run.finished)
    assert finished == [False, False, False, False, True], "the accuracy is the same in all"
    assert run.best_epoch == 1


def test_a_run_ends_after_its_epochs() -> None:
    run = run_of(config_of(max_epochs=2))
    run.next_epoch()
    assert not run.finished
    run.next_epoch()
    assert run.finished


def test_the_divergence_of_one_fold_passes_through() -> None:
    run = run_of(config_of(), folds=2)
    with torch.no_grad():
        run.trainers[1].classifier.get_parameter("head.output.weight").fill_(torch.nan)
    with pytest.raises(DivergedError, match="training loss is nan"):
        run.next_epoch()


@pytest.mark.parametrize("schedule", ["cosine", "plateau"])
@pytest.mark.parametrize("stop", [1, 2, 3, 4])
def test_a_run_resumed_after_any_epoch_equals_an_unbroken_one(
    schedule: str, stop: int, tmp_path: Path
) -> None:
    config = config_of(schedule=schedule, patience=4, head_learning_rate=0.1)
    unbroken, broken = run_of(config, folds=2), run_of(config, folds=2)
    expected = [unbroken.next_epoch() for _ in range(5)]
    for _ in range(stop):
        broken.next_epoch()
    torch.save(broken.state_dict(), tmp_path / "state.pt")
    resumed = run_of(config, folds=2)
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    for scores in expected[stop:]:
        again = resumed.next_epoch()
        assert comparable(again) == comparable(scores)
        assert again.is_best == scores.is_best
        assert (again.probabilities == scores.probabilities).all()
    assert (resumed.epoch, resumed.best_epoch, resumed.best, resumed.finished) == (
        unbroken.epoch,
        unbroken.best_epoch,
        unbroken.best,
        unbroken.finished,
    )
    pairs = zip(parameters_of(resumed.trainers), parameters_of(unbroken.trainers), strict=True)
    assert all(torch.equal(got, wanted) for got, wanted in pairs)


def test_the_state_of_a_run_with_other_folds_is_refused() -> None:
    state = run_of(config_of(), folds=2).state_dict()
    with pytest.raises(ValueError, match="zip"):
        run_of(config_of(), folds=3).load_state_dict(state)
