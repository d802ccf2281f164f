"""Optimiser and learning-rate schedules."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from trainables.modules.blocks.slots import is_second

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trainables.config import TrainConfig
    from trainables.modules.heads.classifier import Classifier

# The lab's plateau schedule: each plateau multiplies the rates by 0.7, down to 1e-7.
PLATEAU_FACTOR, PLATEAU_MINIMUM = 0.7, 1e-7


def make_optimizer(classifier: Classifier, config: TrainConfig) -> AdamW:
    """Make AdamW with separate learning rates for the head, the backbone and each second tower.

    Norms and biases do not decay.

    Args:
        classifier: The model; only parameters that require gradients are optimised.
        config: Learning rates and weight decay.

    Returns:
        The optimiser; its first group is the head's weights with decay, its third the backbone's.

    Source:
        Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.
    """
    groups = []
    suffixes = classifier.suffixes.items()
    firsts = nn.ModuleList(suffix for slot, suffix in suffixes if not is_second(slot))
    seconds = [(suffix, config.rate_of(slot)) for slot, suffix in suffixes if is_second(slot)]
    for module, rate in (
        (classifier.starts_random, config.head_learning_rate),
        (firsts, config.backbone_learning_rate),
        *seconds,
    ):
        for decays in (True, False):
            parameters = list(_trainable(module, decays=decays))
            decay = config.weight_decay if decays else 0.0
            groups.append({"params": parameters, "lr": rate, "weight_decay": decay})
    return AdamW(groups, fused=True)


class Schedule:
    """A learning-rate schedule, stepped after every optimiser step and every epoch."""

    def __init__(self, optimizer: AdamW, config: TrainConfig, steps_per_epoch: int) -> None:
        self._scheduler: ReduceLROnPlateau | LambdaLR
        if config.schedule == "plateau":
            self._scheduler = ReduceLROnPlateau(
                optimizer,
                factor=PLATEAU_FACTOR,
                patience=config.plateau_patience,
                min_lr=PLATEAU_MINIMUM,
            )
        else:
            total = config.max_epochs * steps_per_epoch
            warmup = round(config.warmup_ratio * total)
            self._scheduler = LambdaLR(optimizer, lambda step: cosine(step, warmup, total))

    def after_step(self) -> None:
        """Advance by one optimiser step."""
        if isinstance(self._scheduler, LambdaLR):
            self._scheduler.step()

    def after_epoch(self, loss: float) -> None:
        """Advance by one epoch; the loss is of samples used neither to train nor to score."""
        if isinstance(self._scheduler, ReduceLROnPlateau):
            self._scheduler.step(loss)

    def state_dict(self) -> dict[str, object]:
        """Return everything needed to resume."""
        state = self._scheduler.state_dict()
        return {name: value for name, value in state.items() if name != "lr_lambdas"}

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Restore a state from `state_dict`."""
        if isinstance(self._scheduler, LambdaLR):
            state = {**state, "lr_lambdas": [None] * len(self._scheduler.lr_lambdas)}
        self._scheduler.load_state_dict(state)


def cosine(step: int, warmup: int, total: int) -> float:
    """Compute the factor on the peak learning rate: linear warm-up, then half a cosine down to 0.

    Returns:
        A factor in [0, 1].

    Source:
        Loshchilov and Hutter, "SGDR", ICLR 2017, eq. 5 without restarts, after a warm-up.
    """
    if step < warmup:
        return (step + 1) / (warmup + 1)
    progress = (step - warmup) / max(1, total - warmup)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def _trainable(module: nn.Module, *, decays: bool) -> Iterable[nn.Parameter]:
    """Return the parameters to optimise: matrices and kernels decay, norms and biases do not."""
    return (p for p in module.parameters() if p.requires_grad and (p.ndim > 1) == decays)
