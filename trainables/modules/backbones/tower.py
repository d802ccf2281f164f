"""Pretrained backbones that can be cut between any two of their blocks.

Every piece of a tower maps `Activations` to `Activations`, so pieces can be chained. The invariant
that the cache rests on: `suffix(cut)(prefix(cut)(x))` equals the uncut model, gradients included.
"""

from __future__ import annotations

import copy
import hashlib
import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from trainables.modules.backbones.saving import not_finite
from trainables.modules.backbones.weights import WeightsError
from trainables.modules.blocks.cut import EVERY_LAYER, POOLED_LAYERS
from trainables.modules.blocks.open_block import OpenBlock
from trainables.modules.blocks.parameters import total_parameters
from trainables.modules.blocks.piece import LayeredPiece, PassPooled, Projected
from trainables.modules.blocks.precision import gains_by_fewer_bits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import Tensor, nn

    from trainables.config import Role
    from trainables.evaluation.decision import Precision
    from trainables.modules.blocks.activations import Activations
    from trainables.modules.blocks.cut import Cut, Layers, Pooling
    from trainables.modules.blocks.piece import Piece


# Config entries about the checkpoint's file or about task heads, which no tower has.
_NOT_COMPUTED = frozenset(
    {
        "_name_or_path",
        "architectures",
        "dtype",
        "finetuning_task",
        "id2label",
        "label2id",
        "problem_type",
        "torch_dtype",
        "transformers_version",
    }
)


class Tower(ABC):
    """A pretrained backbone: frozen, on the CPU, in evaluation mode.

    Args:
        model: The library's own model.
        source: Where its weights came from, as given by the user.
        is_random: Whether the weights are random.
        joint: What it shares with the other tower of its checkpoint; None for a single tower.

    Raises:
        WeightsError: If a weight is NaN or infinite.

    Attributes:
        unread: Name prefixes of weights that are never used.
        depth: Number of blocks that may be unfrozen.
        hidden_size: Width of the last block's output.
        frozen_precision: In which its frozen parts compute.
    """

    role: ClassVar[Role]
    unread: ClassVar[tuple[str, ...]] = ()
    frozen_precision: Precision = "float32"
    depth: int
    hidden_size: int

    def __init__(
        self, model: Any, source: str, *, is_random: bool, joint: Joint | None = None
    ) -> None:
        self.model: Any = model.eval().requires_grad_(requires_grad=False)
        self.projection: Any = None
        if joint is not None and joint.projection is not None:
            self.projection = joint.projection.requires_grad_(requires_grad=False)
        self.source = source
        self.is_random = is_random
        self.joint = joint
        self._refuse_not_finite()

    def _refuse_not_finite(self) -> None:
        for module in (self.model, self.projection):
            if name := not_finite(module.state_dict() if module else {}):
                msg = (
                    f"backbone {self.backbone}: the weights of {self.source} hold NaN or infinity,"
                    f" in {name}; the file is damaged, or their training diverged"
                )
                raise WeightsError(msg)

    @property
    def backbone(self) -> str:
        """The checkpoint's name: that of both towers if it has two, else this one's role."""
        return self.joint.backbone if self.joint else self.role

    @property
    def notes(self) -> tuple[str, ...]:
        """Caveats about its weights for readers of results, in sentences."""
        return self.joint.notes if self.joint else ()

    @property
    def width(self) -> int:
        """Width of the embedding."""
        size: int = self.projection.out_features if self.projection else self.hidden_size
        return size

    def width_at(self, cut: Cut) -> int:
        """Return the width of the embedding at a cut, which depends on the pooled layers."""
        return self.width * (2 if cut.layers == "both" and not cut.unfrozen_layers else 1)

    def pooled_width(self, cut: Cut) -> int:
        """Return the width of the pooled output of an entirely frozen tower, before projection."""
        return self.hidden_size * (2 if cut.layers == "both" else 1)

    @property
    def unused_parameters(self) -> int:
        """Number of parameters of the library model that belong to another task."""
        return 0

    @property
    def parameter_count(self) -> int:
        """Parameters of the library model, with unused poolers but without other tasks' heads."""
        count = total_parameters(self.model) - self.unused_parameters
        if self.projection is not None:
            count += total_parameters(self.projection)
        return count + self.joint.unread if self.joint else count

    @property
    def fingerprint(self) -> str:
        """A digest of all that an embedding depends on: used weights, config and preprocessing."""
        reads = json.dumps(self._reads(), sort_keys=True, default=str)
        digest = hashlib.blake2b(reads.encode(), digest_size=16)
        for module in (self.model, self.projection):
            for name, tensor in sorted(module.state_dict().items() if module else ()):
                if name.startswith(self._unread):
                    continue
                digest.update(f"{name}{tuple(tensor.shape)}".encode())
                digest.update(np.ascontiguousarray(tensor.numpy()).data)
        return digest.hexdigest()

    def _reads(self) -> dict[str, Any]:
        """Return everything except weights that an embedding depends on, JSON-ready."""
        config = getattr(self.model, "config", None)
        if config is None:  # torchvision's models are defined by their layers
            return {"layers": str(self.model)}
        read = config.to_dict().items()
        return {"config": {name: value for name, value in read if name not in _NOT_COMPUTED}}

    @property
    def _unread(self) -> tuple[str, ...]:
        return () if self.joint else self.unread

    @property
    def poolings(self) -> tuple[Pooling, ...]:
        """The supported ways of pooling."""
        return ("cls",) if self.joint else ("cls", "mean")

    @property
    def layers(self) -> tuple[Layers, ...]:
        """The layers, or sets of layers, that it can pool when frozen entirely."""
        return ("last",)

    @property
    def _norm_of_tokens(self) -> nn.Module | None:
        """What norms tokens after the last block, where text layers are pooled."""
        return None

    @abstractmethod
    def probe(self) -> Activations:
        """Return a few fixed raw inputs of its modality."""

    @abstractmethod
    def uncut(self, inputs: Activations, pooling: Pooling) -> Tensor:
        """Embed raw inputs to (B, D) by the library's own forward, without projection."""

    def check(self, cut: Cut) -> None:
        """Raise if this tower does not have a cut.

        Raises:
            ValueError: If more layers are to be unfrozen than there are, or layers to be pooled
                that it cannot pool.
        """
        if cut.unfrozen_layers != EVERY_LAYER and not 0 <= cut.unfrozen_layers <= self.depth:
            role = "image" if self.role == "image" else "text"
            msg = (
                f"{role}_unfrozen_layers must be in [0, {self.depth}] for {self.source}, "
                f"got {cut.unfrozen_layers}"
            )
            raise ValueError(msg)
        if not cut.unfrozen_layers and cut.layers not in self.layers:
            able = f"one of {', '.join(self.layers)}" if len(self.layers) > 1 else self.layers[0]
            msg = (
                f"{self.role}_pooled_layers must be {able} for {self.source} of {self.depth}"
                f" layers, got {cut.layers!r}"
            )
            raise ValueError(msg)

    def prefix(self, cut: Cut) -> Piece:
        """Make the frozen part, which shares its weights with the tower.

        Returns:
            A module from raw inputs to the activations at the cut; to be run under
            `torch.no_grad`.
        """
        return self.segment(None, cut.prefix)

    def segment(self, start: Cut | None, stop: Cut) -> Piece:
        """Make the frozen layers between two cuts, so that one pass serves several depths.

        Args:
            start: Where it starts, a cut with unfrozen layers; None starts at raw inputs.
            stop: Where it ends, after `start`.

        Returns:
            A module from the activations at `start` to those at `stop`.
        """
        self.check(stop)
        first = None if start is None else self._frozen(start)
        pooling = None if stop.unfrozen_layers else self._pooling(stop)
        if pooling is not None and stop.layers != "last":
            piece = self._layered(first, stop, pooling)
        else:
            piece = self._piece(first, self._frozen(stop), pooling)
        piece.precision = self.frozen_precision
        return piece.eval()

    def compute_frozen_in(self, precision: Precision) -> None:
        """Set the precision of frozen parts made from now on; convolutions stay in float32."""
        if gains_by_fewer_bits(self.model):
            self.frozen_precision = precision

    def _frozen(self, cut: Cut) -> int:
        return max(0, self.depth - cut.unfrozen_layers)

    def _pooling(self, cut: Cut) -> Pooling:
        # A projection reads the token that it was pretrained on.
        return "cls" if self.joint and cut.pooling != "tokens" else cut.pooling

    def suffix(self, cut: Cut, block_dropout: float = 0.0) -> nn.Module:
        """Make the trainable part: a copy of the pretrained layers after the cut.

        Args:
            cut: Where it starts.
            block_dropout: Dropout probability after each block, in [0, 1); ignored by towers whose
                blocks we do not open, such as convolutional ones.

        Returns:
            A module from the activations at the cut to embeddings (B, D). Its blocks and
            projection require gradients; final norms and poolers stay frozen.
        """
        self.check(cut)
        suffix: nn.Module = PassPooled()
        if cut.unfrozen_layers:
            suffix = copy.deepcopy(self._piece(self._frozen(cut), self.depth, self._pooling(cut)))
            for block in self._trainable(suffix):
                block.requires_grad_(requires_grad=True)
            for module in suffix.modules():
                if isinstance(module, OpenBlock):
                    module.block_dropout.p = block_dropout
        if self.projection is None or cut.pooling == "tokens":
            return suffix
        projection = copy.deepcopy(self.projection).requires_grad_(requires_grad=True)
        return Projected(suffix, projection)

    @abstractmethod
    def _piece(self, start: int | None, stop: int, pooling: Pooling | None) -> Piece:
        """Make the run of blocks [start, stop), which shares the tower's weights.

        Args:
            start: The first block; None starts at raw inputs, including the embeddings.
            stop: The block after the last.
            pooling: How it ends in an embedding; None ends in hidden states.

        Returns:
            The run.
        """

    def _layered(self, start: int | None, cut: Cut, pooling: Pooling) -> Piece:
        """Make the run of blocks from `start` that pools layers other than the last."""
        runs: list[nn.Module] = []
        for back in sorted(POOLED_LAYERS[cut.layers], reverse=True):
            stop = self.depth - back
            runs.append(PassPooled() if start == stop else self._piece(start, stop, None))
            start = stop
        averages = cut.layers == "last_four"
        return LayeredPiece(runs, pooling, averages=averages, norm=self._norm_of_tokens)

    @abstractmethod
    def _trainable(self, suffix: Any) -> Sequence[nn.Module]:
        """Return the modules of a suffix that train."""

    def save(self, folder: Path) -> None:
        """Write all that is needed to load its backbone into an existing folder."""
        (self.joint.save if self.joint else self._save)(folder)

    @abstractmethod
    def _save(self, folder: Path) -> None:
        """Write the weights of this tower alone."""


@dataclass(frozen=True)
class Joint:
    """What a tower shares with the other tower of its checkpoint.

    Attributes:
        backbone: Name of the checkpoint, such as `clip`.
        projection: From this tower's embedding into the shared space; None if what it embeds lies
            there already.
        save: Writes both towers in the library's own format.
        notes: Which of this tower's weights the checkpoint lacks, in sentences.
        unread: Parameters of the library model that neither tower uses, counted with this one.
        reads_first_token: Whether the projection reads the first token after the final norm
            directly, rather than through the model's pooler.
    """

    backbone: str
    projection: Any
    save: Callable[[Path], None]
    notes: tuple[str, ...] = ()
    unread: int = 0
    reads_first_token: bool = False
