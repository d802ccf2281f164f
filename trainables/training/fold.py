"""Train one model on one fold: its optimiser, schedule, random state and epochs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from trainables.evaluation.classes import SENTIMENTS, Classes
from trainables.modules.blocks.precision import autocast
from trainables.modules.heads.views import ViewProjection
from trainables.training.averaging import WeightAverage
from trainables.training.losses import make_loss
from trainables.training.optimization import Schedule, make_optimizer
from trainables.training.randomness import RandomStream
from trainables.training.sampling import draw_epoch, drawn_counts, hold_back

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from trainables.activations.raw import Source
    from trainables.config import TrainConfig
    from trainables.data.sample import Fold
    from trainables.evaluation.decision import Precision
    from trainables.modules.heads.classifier import Classifier

_CLIP_EPSILON = 1e-6  # PyTorch's, which it adds to the norm
# Rows per forward pass without gradients; fewer once memory was short.
_EVALUATION_ROWS = 256


class DivergedError(RuntimeError):
    """Training diverged; the message says where, and suggests a remedy."""


@dataclass(frozen=True)
class TrainingData:
    """Data shared by all folds of a trial.

    Attributes:
        sources: Activations of all samples, by role, and the features of views, by name.
        labels: Classes of the labelled samples, shape (N,), int64, on the device.
        device: Where the models are trained.
        precision: In which they compute, but for heads and losses.
        classes: The C classes.
    """

    sources: Mapping[str, Source]
    labels: Tensor
    device: torch.device
    precision: Precision
    classes: Classes = SENTIMENTS


class Validation(NamedTuple):
    """Predictions for a fold's validation samples.

    Attributes:
        probabilities: Class probabilities, shape (V, C), float32.
        loss: Mean cross-entropy in nats, without class weights or label smoothing, so that it is
            comparable between trials.
        branches: Probabilities of each branch, shape (V, C); empty if there is only one.
    """

    probabilities: NDArray[np.float32]
    loss: float
    branches: dict[str, NDArray[np.float32]]


class FoldTrainer:
    """Train one model on one fold.

    Args:
        build: Makes the classifier, initialised from this fold's random state.
        data: Activations and labels.
        fold: Training and validation samples.
        config: The trial's hyperparameters.
        seed: Of initial weights, dropout and shuffling.
        accumulation_steps: Number of gradient accumulation steps per batch: less memory for the
            same optimiser step, except for dropout noise and batch norm statistics.
    """

    def __init__(
        self,
        build: Callable[[], Classifier],
        data: TrainingData,
        fold: Fold,
        config: TrainConfig,
        seed: int,
        accumulation_steps: int = 1,
    ) -> None:
        self._data, self._config = data, config
        self._accumulation_steps = accumulation_steps
        self._random = RandomStream(seed, data.device)
        with self._random.active():
            self.classifier = build().to(data.device)
            train, self._watched = self._parted(torch.tensor(fold.train))
        self._train = train.to(data.device)
        if isinstance(self.classifier.views, ViewProjection):
            self.classifier.views.fit(self._features(self.classifier.views.names))
        self.val = torch.tensor(fold.val)
        self._labels = data.labels[self._train].cpu()
        counts = drawn_counts(self._labels, config.sampling, len(data.classes))
        self._loss = make_loss(counts, config, data.device)
        # Found once: to walk the modules in every step takes as long as a small head's layer.
        self._trainable = [p for p in self.classifier.parameters() if p.requires_grad]
        self._average = WeightAverage(self._trainable, config.weight_averaging)
        self.optimizer = make_optimizer(self.classifier, config)
        steps = math.ceil(round(counts.sum().item()) / config.batch_size)
        self._schedule = Schedule(self.optimizer, config, steps)
        scaled = data.precision == "float16"
        self._scaler = torch.amp.GradScaler(data.device.type, enabled=scaled)

    def _parted(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Split off the samples whose loss the plateau schedule monitors."""
        if self._config.schedule != "plateau":
            return rows, rows[:0]
        held = hold_back(self._data.labels[rows].cpu())
        return rows[~held], rows[held]

    def _features(self, views: Collection[str]) -> dict[str, Tensor]:
        """Return the features of views of the training samples."""
        return {name: self._data.sources[name].gather(self._train).values for name in views}

    def train_epoch(self) -> float:
        """Train for one epoch.

        Returns:
            The mean training loss per sample, in nats.

        Raises:
            DivergedError: If the loss is not finite.
        """
        self._average.exchange()
        with self._random.active():
            order = draw_epoch(self._labels, self._config.sampling)
            self.classifier.train()
            total = torch.zeros((), device=self._data.device)
            for rows in self._train[order.to(self._data.device)].split(self._config.batch_size):
                total += self._step(rows) * len(rows)
        self._average.exchange()
        loss = total.item() / len(order)
        if not math.isfinite(loss):
            rates = ", ".join(f"{rate:.1e}" for rate in self.learning_rates)
            msg = f"training loss is {loss} (learning rates {rates}); lower the learning rates"
            raise DivergedError(msg)
        if len(self._watched):
            self._schedule.after_epoch(self._loss_of(self._watched, self.predict(self._watched)))
        return loss

    def _step(self, rows: Tensor) -> Tensor:
        """Take one optimiser step and return the loss, without synchronising with the device."""
        for parameter in self._trainable:
            parameter.grad = None
        total = torch.zeros((), device=self._data.device)
        for part in rows.chunk(self._accumulation_steps):
            labels = self._data.labels[part]
            batch = self._gather(part)  # outside autocast, as when the cache is built
            with autocast(self._data.device, self._data.precision):
                branches = self.classifier.branches(batch)
                losses = [self._loss(logits, labels) for logits in branches.values()]
                loss = torch.stack(losses).sum() * (len(part) / len(rows))
            self._scaler.scale(loss).backward()
            total += loss.detach()
        self._scaler.unscale_(self.optimizer)
        self._clip()
        self._scaler.step(self.optimizer)
        self._scaler.update()
        self._schedule.after_step()
        self._average.after_step()
        return total

    def _clip(self) -> None:
        """Clip the gradients by their norm.

        On a CPU, small ones are left alone rather than multiplied by 1: that takes as long as the
        norm. On a GPU, to look would be to wait for it.
        """
        gradients = [p.grad for p in self._trainable if p.grad is not None]
        norm, most = get_total_norm(gradients), self._config.max_grad_norm
        if self._data.device.type != "cpu" or norm + _CLIP_EPSILON > most:
            clip_grads_with_norm_(self._trainable, most, norm)

    def predict(self, rows: Tensor) -> Tensor:
        """Classify samples (B,) to log-probabilities (B, C), float32, on the CPU."""
        return self._classify(rows)[0]

    @torch.inference_mode()
    def _classify(self, rows: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute log-probabilities of the fused head and of each branch."""
        self.classifier.eval()
        fused: list[Tensor] = []
        parts: dict[str, list[Tensor]] = {}
        for part in rows.split(_EVALUATION_ROWS // self._accumulation_steps):
            batch = self._gather(part)  # outside autocast, as when the cache is built
            with autocast(self._data.device, self._data.precision):
                branches = self.classifier.branches(batch)
                fused.append(self.classifier.head.fuse(branches))
            for name, logits in branches.items():
                parts.setdefault(name, []).append(logits)
        return _log_probabilities(fused), {
            name: _log_probabilities(p) for name, p in parts.items()
        }

    def validate(self) -> Validation:
        """Classify the fold's validation samples.

        Returns:
            The predictions and their loss.

        Raises:
            DivergedError: If the loss is not finite.
        """
        log_probabilities, branches = self._classify(self.val)
        loss = self._loss_of(self.val, log_probabilities)
        several = {name: b.exp().numpy() for name, b in branches.items() if len(branches) > 1}
        return Validation(log_probabilities.exp().numpy(), loss, several)

    def _loss_of(self, rows: Tensor, log_probabilities: Tensor) -> float:
        loss = F.nll_loss(log_probabilities, self._data.labels[rows].cpu()).item()
        if not math.isfinite(loss):
            msg = f"validation loss is {loss}; lower the learning rates"
            raise DivergedError(msg)
        return loss

    @property
    def learning_rates(self) -> tuple[float, float]:
        """The current learning rates of head and backbone."""
        return self.optimizer.param_groups[0]["lr"], self.optimizer.param_groups[2]["lr"]

    def _gather(self, rows: Tensor) -> dict[str, Any]:
        return {
            role: source.gather(rows).to(self._data.device)
            for role, source in self._data.sources.items()
        }

    def state_dict(self) -> dict[str, Any]:
        """Return everything needed to resume; can be loaded with `weights_only`."""
        return {
            "classifier": self.classifier.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "scaler": self._scaler.state_dict(),
            "average": self._average.state_dict(),
            "random": self._random.state,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state from `state_dict`."""
        self.classifier.load_state_dict(state["classifier"])
        self.optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        self._average.load_state_dict(state["average"])
        if state["scaler"]:  # empty if the losses were not scaled: keep the new scaler then
            self._scaler.load_state_dict(state["scaler"])
        self._random.load(state["random"])


def _log_probabilities(logits: list[Tensor]) -> Tensor:
    return F.log_softmax(torch.cat(logits), dim=-1).cpu()
