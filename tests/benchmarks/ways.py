"""Three ways to train the same config: uncut, cut, and cut with one token read.

`uncut` runs the whole library models in every step; `cut` runs the library's last blocks on given
activations, every token of them; `one token` is the classifier that a trial trains: padding is
left out, and of the last block only the token that is read is computed.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch

from tests.benchmarks.architectures import Architecture, Loaded, uncut_pieces
from tests.benchmarks.library import Entered, EnteredPiece
from trainables.evaluation.classes import SENTIMENTS
from trainables.modules.blocks.piece import on_device
from trainables.modules.blocks.precision import autocast, precision_of
from trainables.modules.heads.classifier import Classifier
from trainables.training.losses import make_loss
from trainables.training.optimization import make_optimizer
from trainables.variants import VARIANTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from trainables.config import TrainConfig

WAYS = ("uncut", "cut", "one token")
SEED = 0


class Way:
    """One way to train and evaluate a config.

    Args:
        classifier: The model.
        inputs: What it reads, by role.
        labels: Classes, shape (B,), int64.
        config: The hyperparameters.

    Attributes:
        precision: That of a trial on the device.
    """

    def __init__(
        self,
        classifier: Classifier,
        inputs: Mapping[str, Any],
        labels: Tensor,
        config: TrainConfig,
    ) -> None:
        self.classifier = classifier
        self._inputs, self._labels, self._config = inputs, labels, config
        self._optimizer = make_optimizer(classifier, config)
        self._loss = make_loss(torch.ones(len(SENTIMENTS)), config, labels.device)
        self._device, self.precision = labels.device, precision_of(labels.device)

    def train(self) -> None:
        """Take one optimiser step, as a trial does."""
        self.classifier.train()
        self.backward()
        torch.nn.utils.clip_grad_norm_(self.classifier.parameters(), self._config.max_grad_norm)
        self._optimizer.step()

    def backward(self) -> None:
        """Compute the loss and its gradients."""
        with autocast(self._device, self.precision):
            logits = self.classifier(self._inputs)
            loss = self._loss(logits, self._labels)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()

    @torch.no_grad()
    def evaluate(self) -> Tensor:
        """Classify the batch, in the precision of a trial.

        Returns:
            Logits, shape (B, C), float32.
        """
        with autocast(self._device, self.precision):
            return self.logits()

    @torch.no_grad()
    def logits(self) -> Tensor:
        """Classify the batch without dropout.

        Returns:
            Logits, shape (B, C), float32.
        """
        logits: Tensor = self.classifier.eval()(self._inputs)
        return logits


def make_ways(
    architecture: Architecture,
    loaded: Loaded,
    batch: int,
    unfrozen_layers: int,
    device: torch.device,
) -> dict[str, Way]:
    """Set up one architecture in the three ways, with the same weights.

    Args:
        architecture: Which.
        loaded: Its backbones; the library's are used up.
        batch: Pairs per step.
        unfrozen_layers: Blocks that train, per tower.
        device: Where.

    Returns:
        By the names of `WAYS`.
    """
    torch.manual_seed(SEED)
    variant, config = VARIANTS[architecture.variant], architecture.config(unfrozen_layers)
    ours = variant.build(config, loaded.towers)
    whole = uncut_pieces(loaded.models, loaded.towers, unfrozen_layers)
    uncut = Classifier(whole, copy.deepcopy(ours.head))
    # A ResNet has no tokens: its cut is ours.
    entered = {
        role: EnteredPiece(piece) if hasattr(piece.model, "encoder") else ours.suffixes[role]
        for role, piece in whole.items()
    }
    cut = copy.deepcopy(Classifier(entered, ours.head))
    raw = {role: x.to(device) for role, x in architecture.inputs(batch, SEED).items()}
    readings = variant.readings(config)
    prefixes = on_device(
        [loaded.towers[role].prefix(r.cut) for role, r in readings.items()], device
    )
    with torch.no_grad():
        activations = {
            role: prefix(raw[role]) for role, prefix in zip(readings, prefixes, strict=True)
        }
    given = {
        role: Entered(activations[role].values, raw[role])
        if isinstance(piece, EnteredPiece)
        else activations[role]
        for role, piece in entered.items()
    }
    labels = torch.arange(batch, device=device) % len(SENTIMENTS)
    read: tuple[Mapping[str, Any], ...] = (raw, given, activations)
    kinds = zip(WAYS, (uncut, cut, ours), read, strict=True)
    return {name: Way(model.to(device), inputs, labels, config) for name, model, inputs in kinds}
