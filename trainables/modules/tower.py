"""Pretrained backbones that can be cut between any two of their blocks.

Every piece of a tower maps `Activations` to `Activations`, so pieces chain. The invariant that all
speed rests on: `suffix(cut)(prefix(cut)(x))` equals the uncut model, and so do its gradients.
"""

from __future__ import annotations

import copy
import hashlib
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trainables.modules.cut import Cut, Pooling

Role = Literal["text", "image"]


class Activations(NamedTuple):
    """What flows through a tower, from raw inputs to the pooled embedding.

    Attributes:
        values: Token ids (B, L) int64, pixels (B, 3, H, W) uint8, hidden states (B, L, D) or
            (B, C, h, w), or embeddings (B, D).
        mask: True where a token is real, shape (B, L), bool; None where nothing is padded.
    """

    values: Tensor
    mask: Tensor | None = None

    def to(self, device: torch.device) -> Activations:
        """Move to a device.

        Args:
            device: Where to.

        Returns:
            The same values there.
        """
        mask = None if self.mask is None else self.mask.to(device, non_blocking=True)
        return Activations(self.values.to(device, non_blocking=True), mask)


class Piece(nn.Module):
    """A run of a tower's layers; its batch norms always use their pretrained statistics.

    Statistics of small batches are noise, and moving averages would differ between a cached and
    an uncached run; the affine parameters of unfrozen batch norms still train.
    """

    def train(self, mode: bool = True) -> Self:
        """Switch dropout on or off; batch norms stay as pretrained.

        Args:
            mode: Whether to train.

        Returns:
            Itself.
        """
        super().train(mode)
        for module in self.modules():
            if isinstance(module, _BatchNorm):
                module.eval()
        return self


class PassPooled(nn.Module):
    """The suffix of a tower that is frozen whole: its embedding is already there."""

    def forward(self, activations: Activations) -> Activations:
        """Pass the embedding through.

        Args:
            activations: Pooled embeddings, shape (B, D).

        Returns:
            The same.
        """
        return activations


class Tower(ABC):
    """A pretrained backbone, frozen, on the CPU, in evaluation mode.

    Args:
        model: The library's own model.
        source: Where its weights came from, as asked for.
        is_random: Whether the weights are random.

    Attributes:
        depth: Blocks that may be unfrozen.
        width: Size of the embedding.
    """

    role: ClassVar[Role]
    depth: int
    width: int

    def __init__(self, model: Any, source: str, *, is_random: bool) -> None:
        self.model: Any = model.eval().requires_grad_(requires_grad=False)
        self.source = source
        self.is_random = is_random

    @property
    def parameter_count(self) -> int:
        """Parameters of the whole library model, unused poolers and classifiers included."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    def digest(self) -> str:
        """Hash the weights.

        Returns:
            A name that differs when any weight does.
        """
        digest = hashlib.blake2b(digest_size=16)
        for name, tensor in sorted(self.model.state_dict().items()):
            digest.update(f"{name}{tuple(tensor.shape)}".encode())
            digest.update(np.ascontiguousarray(tensor.numpy()).data)
        return digest.hexdigest()

    def check(self, cut: Cut) -> None:
        """Refuse a cut that this tower does not have.

        Args:
            cut: The place to cut.

        Raises:
            ValueError: If more layers are to be unfrozen than there are.
        """
        if not 0 <= cut.unfrozen_layers <= self.depth:
            msg = (
                f"{self.role}_unfrozen_layers must be in [0, {self.depth}] for {self.source}, "
                f"got {cut.unfrozen_layers}"
            )
            raise ValueError(msg)

    def prefix(self, cut: Cut) -> Piece:
        """Make the frozen part, which shares its weights with the tower.

        Args:
            cut: Where it ends.

        Returns:
            A module from raw inputs to the activations at the cut; wants `torch.no_grad`.
        """
        return self.segment(None, cut)

    def segment(self, start: Cut | None, stop: Cut) -> Piece:
        """Make the frozen layers between two cuts, so that one pass serves several depths.

        Args:
            start: Where it begins, with unfrozen layers; None begins at raw inputs.
            stop: Where it ends, after `start`.

        Returns:
            A module from the activations at `start` to those at `stop`.
        """
        self.check(stop)
        first = None if start is None else self.depth - start.unfrozen_layers
        pooling = None if stop.unfrozen_layers else stop.pooling
        return self._piece(first, self.depth - stop.unfrozen_layers, pooling).eval()

    def suffix(self, cut: Cut) -> nn.Module:
        """Make the part that trains: a fresh copy of the pretrained layers after the cut.

        Args:
            cut: Where it begins.

        Returns:
            A module from the activations at the cut to embeddings (B, D). Its blocks require
            gradients; a final norm keeps its pretrained weights.
        """
        self.check(cut)
        if cut.unfrozen_layers == 0:
            return PassPooled()
        piece = self._piece(self.depth - cut.unfrozen_layers, self.depth, cut.pooling)
        suffix = copy.deepcopy(piece)
        for block in self._trainable(suffix):
            block.requires_grad_(requires_grad=True)
        return suffix

    @abstractmethod
    def _piece(self, start: int | None, stop: int, pooling: Pooling | None) -> Piece:
        """Make the run of blocks [start, stop), sharing the tower's weights.

        Args:
            start: The first block; None begins at raw inputs, through the embeddings.
            stop: The block after the last.
            pooling: How it ends in an embedding; None ends in hidden states.

        Returns:
            The run.
        """

    @abstractmethod
    def _trainable(self, suffix: Any) -> Sequence[nn.Module]:
        """Name the modules of a suffix that train."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write weights and all else that loading this tower needs.

        Args:
            folder: An existing folder.
        """


def shell(module: Any) -> Any:
    """Copy a module without its children's weights, so that children can be replaced.

    Args:
        module: A library model.

    Returns:
        A copy with a child table of its own; the children themselves are shared.
    """
    clone = copy.copy(module)
    clone._modules = dict(module._modules)
    return clone


def total_parameters(module: nn.Module, *, trainable: bool = False) -> int:
    """Count parameters.

    Args:
        module: Any module.
        trainable: Count only those that require a gradient.

    Returns:
        The number of scalars.
    """
    return sum(p.numel() for p in module.parameters() if p.requires_grad or not trainable)
