"""The modules that a split tower is made of."""

from __future__ import annotations

import copy
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from trainables.modules.blocks.activations import Activations
from trainables.modules.blocks.precision import autocast

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from torch import Tensor

    from trainables.evaluation.decision import Precision
    from trainables.modules.blocks.cut import Pooling


class Piece(nn.Module):
    """A run of a tower's layers, whose batch norms always use their pretrained statistics.

    Statistics of small batches are noisy, and moving averages would differ between a cached and an
    uncached run. The affine parameters of unfrozen batch norms still train.

    Attributes:
        precision: In which a frozen run computes; one that trains leaves it at float32, as its
            trainer says.
    """

    precision: Precision = "float32"

    def __call__(self, activations: Activations) -> Activations:
        """Run the layers; what leaves a frozen run is float32 whatever its precision."""
        if self.precision == "float32":
            found: Activations = super().__call__(activations)
            return found
        with autocast(activations.values.device, self.precision):
            found = super().__call__(activations)
        return found._replace(values=found.values.float())

    def train(self, mode: bool = True) -> Self:
        """Set training mode, except for batch norms."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, _BatchNorm):
                module.eval()
        return self


@contextmanager
def computing_in(precision: Precision, pieces: Iterable[Piece]) -> Iterator[None]:
    """Let pieces, and those inside them, compute in a precision, and then as before."""
    every = [each for piece in pieces for each in piece.modules() if isinstance(each, Piece)]
    before = [each.precision for each in every]
    try:
        for each in every:
            each.precision = precision
        yield
    finally:
        for each, own in zip(every, before, strict=True):
            each.precision = own


def on_device(pieces: Sequence[Piece], device: torch.device) -> list[Piece]:
    """Return pieces on a device: themselves on the CPU, copies elsewhere.

    The towers that they share weights with stay on the CPU. Convolutions on GPUs are set to full
    float32: with TF32, which is their default, activations would depend on where they were built.

    Returns:
        The pieces.
    """
    if device.type == "cpu":
        return list(pieces)
    torch.backends.cudnn.allow_tf32 = False
    return [piece.to(device) for piece in copy.deepcopy(list(pieces))]


class PassPooled(nn.Module):
    """The suffix of a tower that is frozen entirely: its input is the embedding."""

    def forward(self, activations: Activations) -> Activations:
        """Return the pooled embeddings (B, D) unchanged."""
        return activations


class Projected(nn.Module):
    """The suffix of a tower that ends in a projection into a shared space."""

    def __init__(self, piece: nn.Module, projection: nn.Module) -> None:
        super().__init__()
        self.piece = piece
        self.projection = projection

    def forward(self, activations: Activations) -> Activations:
        """Embed activations at the cut into the shared space, shape (B, D)."""
        pooled: Activations = self.piece(activations)
        return pooled._replace(values=self.projection(pooled.values))


class LayeredPiece(Piece):
    """A run of a text model's blocks whose embedding pools several layers.

    Args:
        runs: The blocks up to the first pooled layer, from there to the next, and so on.
        pooling: How the tokens of a layer become one vector: `cls` or `mean`.
        averages: Whether the layers are averaged; otherwise they are concatenated, the last one
            first.
        norm: What norms the tokens of each layer before they are pooled.
    """

    def __init__(
        self,
        runs: Sequence[nn.Module],
        pooling: Pooling,
        *,
        averages: bool,
        norm: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.runs: Any = nn.ModuleList(runs)
        self.pooling = pooling
        self.averages = averages
        self.norm = norm or nn.Identity()

    @property
    def embeddings(self) -> nn.Module:
        """The embedding module, if the run starts at token ids."""
        first = self.runs[0]
        embeddings: nn.Module = getattr(first, "model", first).embeddings
        return embeddings

    def forward(self, activations: Activations) -> Activations:
        """Run the blocks and pool.

        Args:
            activations: Token ids (B, L) or hidden states (B, L, D), with their mask.

        Returns:
            Embeddings, shape (B, D), or (B, K D) for K concatenated layers.
        """
        pooled: list[Tensor] = []
        for run in self.runs:
            activations = run(activations)
            hidden, mask, _ = activations
            normed = self.norm(hidden[:, :1] if self.pooling == "cls" else hidden)
            first = self.pooling == "cls"
            pooled.insert(0, normed[:, 0] if first else mean_of_tokens(normed, mask))
        if self.averages:
            return Activations(torch.stack(pooled).mean(dim=0))
        return Activations(torch.cat(pooled, dim=-1))


def mean_of_tokens(hidden: Tensor, mask: Tensor | None) -> Tensor:
    """Average the real tokens, as sentence encoders are trained to.

    Args:
        hidden: Shape (B, L, D).
        mask: True for real tokens, shape (B, L); None if all are.

    Returns:
        Means, shape (B, D).

    Source:
        Reimers and Gurevych, "Sentence-BERT", EMNLP 2019, section 3 (MEAN pooling).
    """
    if mask is None:
        return hidden.mean(dim=1)
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)
