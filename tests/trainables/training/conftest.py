"""A small classifier on a table of activations, so that an epoch takes milliseconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from trainables.config import TrainConfig
from trainables.data.sample import Fold
from trainables.modules.blocks.activations import Activations
from trainables.modules.heads.classifier import Classifier
from trainables.modules.heads.head import Head
from trainables.training.fold import FoldTrainer, TrainingData
from trainables.training.lockstep import LockstepRun

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainables.evaluation.decision import Precision

SAMPLES, WIDTH = 45, 6
LABELS = np.arange(SAMPLES) % 3


class Table:
    """Activations that depend on the class, with noise."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.values = torch.randn(SAMPLES, WIDTH, generator=generator)
        self.values[torch.arange(SAMPLES), torch.tensor(LABELS)] += 1.5

    def gather(self, rows: Tensor) -> Activations:
        return Activations(self.values[rows].clone())


class Suffix(nn.Module):
    """A frozen layer, then one that trains, with dropout."""

    def __init__(self) -> None:
        super().__init__()
        # The weights of a pretrained model do not hang on the fold's seed.
        with torch.random.fork_rng():
            torch.manual_seed(1)
            self.frozen = nn.Linear(WIDTH, WIDTH).requires_grad_(requires_grad=False)
            self.unfrozen = nn.Linear(WIDTH, WIDTH)
        self.dropout = nn.Dropout(0.2)

    def forward(self, activations: Activations) -> Activations:
        hidden = torch.tanh(self.frozen(activations.values))
        return Activations(self.dropout(torch.tanh(self.unfrozen(hidden))))


class LinearHead(Head):
    def __init__(self) -> None:
        super().__init__()
        self.dropout = nn.Dropout(0.2)
        self.output = nn.Linear(WIDTH, 3)

    def forward(self, embeddings: Mapping[str, Tensor]) -> Tensor:
        logits: Tensor = self.output(self.dropout(embeddings["text"]))
        return logits


def classifier() -> Classifier:
    return Classifier({"text": Suffix()}, LinearHead())


def config_of(**values: Any) -> TrainConfig:
    # Said in full: what these tests work out by hand does not hang on our defaults.
    settings = {
        "head_learning_rate": 1e-2,
        "backbone_learning_rate": 5e-5,
        "weight_decay": 1e-2,
        "warmup_ratio": 0.1,
        "batch_size": 8,
        "max_epochs": 6,
        "patience": 6,
        "weight_averaging": 0.0,
        "label_smoothing": 0.05,
        "class_weight_smoothing": 0.0,
        "neutral_threshold": 0.0,
    }
    return TrainConfig.from_params(settings | values)


def fold_of(index: int) -> Fold:
    rows = np.arange(SAMPLES)
    return Fold(rows[rows // 3 % 5 != index], rows[rows // 3 % 5 == index])


def trainer_of(
    config: TrainConfig,
    fold: int | Fold = 0,
    seed: int = 3,
    labels: Tensor | None = None,
    accumulation_steps: int = 1,
    precision: Precision = "float32",
) -> FoldTrainer:
    device = torch.device("cpu")
    labels = torch.tensor(LABELS) if labels is None else labels
    data = TrainingData({"text": Table()}, labels, device, precision)
    fold = fold_of(fold) if isinstance(fold, int) else fold
    return FoldTrainer(classifier, data, fold, config, seed, accumulation_steps)


def run_of(
    config: TrainConfig,
    folds: int = 1,
    metric: str = "val_weighted_f1",
    precision: Precision = "float32",
) -> LockstepRun:
    trainers = [trainer_of(config, k, seed=3 + k, precision=precision) for k in range(folds)]
    return LockstepRun(trainers, LABELS, config, metric)
