"""The model that ships: one config trained on all labelled samples, saved, and its predictions."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from trainables.data.sample import Fold
from trainables.inference.predictor import save_model
from trainables.training.decision import decide
from trainables.workbench import Workbench

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from trainables.experiment import Experiment


def train_final(
    experiment: Experiment, params: Mapping[str, Any], epochs: int, folder: Path
) -> dict[str, Any]:
    """Train a config on train and validation samples together, save it, predict the unlabelled.

    The schedule is the trial's: it still runs over `max_epochs`, and training stops where the
    trial was best. There is nothing left to validate on, so `plateau` watches the training loss.

    Args:
        experiment: What the search held fixed.
        params: The chosen hyperparameters, by name.
        epochs: How many epochs to train, >= 1.
        folder: Where the model goes; replaced when whole.

    Returns:
        `epochs`, `seconds`, `model_parameters`, `train_loss`, and for the unlabelled samples in
        their order `probabilities` (float32, shape (N, C)) and `classes` (int64, shape (N,)).
    """
    began = time.perf_counter()
    bench = Workbench(experiment)
    config = bench.config(params)
    everything = np.arange(len(experiment.corpus.labelled))
    whole = Fold(train=everything, val=everything[:0])
    (trainer,) = bench.start(config, [whole]).trainers
    loss = 0.0
    for _ in range(epochs):
        loss = trainer.train_epoch()
        trainer.end_epoch(loss)
    rows = torch.arange(len(everything), len(experiment.corpus.samples))
    probabilities = trainer.predict(rows).exp().numpy() if len(rows) else np.empty((0, 3), "f4")
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    model = (trainer.classifier, bench.towers)
    save_model(partial, bench.variant, config, experiment.inputs, model)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    return {
        "epochs": epochs,
        "seconds": time.perf_counter() - began,
        "train_loss": loss,
        "model_parameters": bench.count(trainer.classifier)["total"],
        "probabilities": probabilities,
        "classes": decide(probabilities, config.neutral_threshold),
    }
