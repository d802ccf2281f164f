"""Train the folds of a trial in lock step, one epoch of each at a time."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from trainables.evaluation.classes import SENTIMENTS, Classes
from trainables.evaluation.decision import decide
from trainables.evaluation.metrics import is_better
from trainables.evaluation.scores import classification_scores

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from trainables.config import TrainConfig
    from trainables.training.fold import FoldTrainer, Validation


@dataclass(frozen=True)
class EpochScores:
    """Results of one epoch of all folds.

    Attributes:
        metrics: By name: `train_loss`, the mean over folds of every validation score, its standard
            deviation over folds (`..._std`, population), learning rates and seconds.
        rows: Validated samples of all folds, shape (V,), int64, indices into the labelled samples.
        probabilities: Out-of-fold class probabilities of these rows, shape (V, C), float32.
        branches: The same for each branch of a head that has several.
        is_best: Whether the objective is the best so far.
    """

    metrics: dict[str, float]
    rows: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    branches: dict[str, NDArray[np.float32]]
    is_best: bool


class LockstepRun:
    """One trial: a model per fold, so that trials are compared at equal epochs on all the data.

    Args:
        trainers: One per fold.
        labels: Classes of the labelled samples, shape (N,), int64.
        config: The trial's hyperparameters.
        metric: The objective.
        classes: The C classes.
    """

    def __init__(
        self,
        trainers: Sequence[FoldTrainer],
        labels: NDArray[np.int64],
        config: TrainConfig,
        metric: str,
        classes: Classes = SENTIMENTS,
    ) -> None:
        self.trainers, self._classes = trainers, classes
        self._labels, self._config, self._metric = labels, config, metric
        self.epoch = 0
        self.best_epoch = 0
        self.best: float | None = None
        self._last_gain = 0
        self._lowest_loss = math.inf

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or `patience` of them without improvement.

        A lower validation loss counts as an improvement: scores of few samples can stay constant
        for several epochs while the probabilities still improve.
        """
        stalled = self.epoch - self._last_gain >= self._config.patience
        return self.epoch >= self._config.max_epochs or stalled

    def next_epoch(self) -> EpochScores:
        """Train every fold for one epoch and score it; a fold's `DivergedError` is not caught."""
        began = time.perf_counter()
        per_fold: list[dict[str, float]] = []
        validated: list[Validation] = []
        rates = self.trainers[0].learning_rates
        for trainer in self.trainers:
            train_loss = trainer.train_epoch()
            validation = trainer.validate()
            threshold = self._config.neutral_threshold
            decided = decide(validation.probabilities, threshold, classes=self._classes)
            truth = self._labels[trainer.val.numpy()]
            scores = classification_scores(truth, decided, self._classes)
            per_fold.append({"train_loss": train_loss, "loss": validation.loss, **scores})
            validated.append(validation)
        self.epoch += 1
        metrics = _mean_and_spread(per_fold)
        metrics["head_learning_rate"], metrics["backbone_learning_rate"] = rates
        if metrics["val_loss"] < self._lowest_loss:
            self._lowest_loss, self._last_gain = metrics["val_loss"], self.epoch
        metrics["epoch_seconds"] = time.perf_counter() - began
        return EpochScores(
            metrics,
            np.concatenate([trainer.val.numpy() for trainer in self.trainers]),
            np.concatenate([each.probabilities for each in validated]),
            {
                name: np.concatenate([each.branches[name] for each in validated])
                for name in validated[0].branches
            },
            self._is_best(metrics[self._metric]),
        )

    def _is_best(self, value: float) -> bool:
        if self.best is None or is_better(self._metric, value, self.best):
            self.best, self.best_epoch, self._last_gain = value, self.epoch, self.epoch
            return True
        return False

    def state_dict(self) -> dict[str, Any]:
        """Return everything needed to resume."""
        return {
            "epoch": self.epoch,
            "best_epoch": self.best_epoch,
            "best": self.best,
            "last_gain": self._last_gain,
            "lowest_loss": self._lowest_loss,
            "trainers": [trainer.state_dict() for trainer in self.trainers],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state from `state_dict` of a run with the same folds and config."""
        self.epoch, self.best_epoch = state["epoch"], state["best_epoch"]
        self.best = state["best"]
        self._last_gain, self._lowest_loss = state["last_gain"], state["lowest_loss"]
        for trainer, saved in zip(self.trainers, state["trainers"], strict=True):
            trainer.load_state_dict(saved)


def _mean_and_spread(per_fold: Sequence[Mapping[str, float]]) -> dict[str, float]:
    metrics = {"train_loss": float(np.mean([fold["train_loss"] for fold in per_fold]))}
    for name in (name for name in per_fold[0] if name != "train_loss"):
        values = [fold[name] for fold in per_fold]
        metrics[f"val_{name}"] = float(np.mean(values))
        metrics[f"val_{name}_std"] = float(np.std(values))
    return metrics
