"""Train one config again on one fold, keeping its predictions after every epoch."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from trainables.training.fold import DivergedError
from trainables.training.memory import accumulate_on_oom

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainables.data.sample import Fold
    from trainables.worker import Workbench


def train_fold(
    bench: Workbench, params: Mapping[str, Any], fold: Fold, epochs: int, seed: int
) -> dict[str, Any]:
    """Train a config on one fold and keep its predictions after every epoch.

    Args:
        bench: The process's workbench.
        params: The hyperparameters, by name.
        fold: Training samples and V validation samples.
        epochs: Number of epochs, E >= 1; the schedule still runs over `max_epochs`.
        seed: Of initial weights, dropout and shuffling.

    Returns:
        `validated`, shape (E, V, C), and `unlabelled`, shape (E, U, C): class probabilities,
        float32; `diverged`, why there are fewer epochs than requested, or empty; and `seconds`. No
        torch types, so that the receiver need not import torch.
    """
    return accumulate_on_oom(lambda steps: _course(bench, params, fold, (epochs, seed, steps)))[0]


def _course(
    bench: Workbench, params: Mapping[str, Any], fold: Fold, how: tuple[int, int, int]
) -> dict[str, Any]:
    began = time.perf_counter()
    epochs, seed, steps = how
    (trainer,) = bench.start(bench.config(params), [fold], [seed], steps).trainers
    corpus = bench.experiment.corpus
    rest = torch.arange(len(corpus.labelled), len(corpus.samples))
    validated, unlabelled, diverged = [], [], ""
    empty = np.empty((0, len(corpus.classes)), np.float32)
    for _ in range(epochs):
        try:
            trainer.train_epoch()
            validated.append(trainer.validate().probabilities)
        except DivergedError as error:
            diverged = str(error)
            break
        unlabelled.append(trainer.predict(rest).exp().numpy() if len(rest) else empty)
    shape = len(validated), len(corpus.classes)
    return {
        "validated": np.array(validated, np.float32).reshape(shape[0], len(fold.val), shape[1]),
        "unlabelled": np.array(unlabelled, np.float32).reshape(shape[0], len(rest), shape[1]),
        "diverged": diverged,
        "seconds": time.perf_counter() - began,
    }
