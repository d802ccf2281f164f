"""The libraries' own models, uncut, behind the interface of our towers: what ours is compared to.

`LibraryPiece` is how people write it: the whole model runs in every step, its last blocks train.
`EnteredPiece` is the same model entered at a block with ready hidden states: every token of the
unfrozen blocks is computed, and nothing before them.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torchvision.models.resnet import ResNet

from trainables.modules.backbones.parts import shell
from trainables.modules.blocks.activations import Activations
from trainables.modules.blocks.piece import mean_of_tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainables.modules.blocks.cut import Pooling

# Where a library keeps its blocks: the attributes that lead to the list.
_BLOCKS = (
    ("encoder", "layer"),
    ("encoder", "layers"),
    ("transformer", "layer"),
    ("layers",),
    ("layer",),
)


class LibraryPiece(nn.Module):
    """A whole library model from raw inputs to its embedding.

    Args:
        model: The library's model; it is used as it is.
        unfrozen_layers: How many of its last blocks train, >= 0.
        pooling: How tokens become one embedding: `cls`, `mean`, or None for the library's own
            pooled output.
        projection: What follows the pooling and always trains; None for nothing.
        standardize: From uint8 pixels to what the model reads; None for a text model.
    """

    def __init__(
        self,
        model: Any,
        unfrozen_layers: int,
        pooling: Pooling | None,
        projection: nn.Module | None = None,
        standardize: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.model = model.requires_grad_(requires_grad=False)
        self.unfrozen = library_blocks(model)[-unfrozen_layers:] if unfrozen_layers else []
        if unfrozen_layers and hasattr(model, "conv_1x1"):
            self.unfrozen = [*self.unfrozen, model.conv_1x1]  # MobileNetV2's last convolution
        for block in self.unfrozen:
            block.requires_grad_(requires_grad=True)
        self.pooling = pooling
        self.projection = projection
        if projection is not None:
            projection.requires_grad_(requires_grad=True)
        self.standardize = standardize

    def train(self, mode: bool = True) -> Self:
        """Switch dropout of the unfrozen blocks on or off; frozen blocks and norms never change.

        Args:
            mode: Whether to train.

        Returns:
            Itself.
        """
        super().train(mode)
        self.model.eval()
        for block in self.unfrozen:
            block.train(mode)
            for module in block.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def forward(self, activations: Activations) -> Activations:
        """Run the whole model.

        Args:
            activations: Token ids (B, L) with their mask, or pixels (B, 3, S, S), uint8.

        Returns:
            Embeddings (B, D).
        """
        values, mask, _ = activations
        if self.standardize is not None:
            output = self.model(self.standardize(values))
        else:
            output = self.model(input_ids=values, attention_mask=mask)
        pooled = self._pool(output, mask)
        return Activations(pooled if self.projection is None else self.projection(pooled))

    def _pool(self, output: Any, mask: Tensor | None) -> Tensor:
        if isinstance(output, Tensor):
            return output
        pooled: Tensor
        if self.pooling is None:
            pooled = output.pooler_output
        elif self.pooling == "cls":
            pooled = output.last_hidden_state[:, 0]
        else:
            pooled = mean_of_tokens(output.last_hidden_state, mask)
        return pooled


class Entered(NamedTuple):
    """Hidden states to enter a model with, and the raw inputs that it still looks at.

    Attributes:
        hidden: Shape (B, L, D).
        raw: As `LibraryPiece` reads them.
    """

    hidden: Tensor
    raw: Activations


class EnteredPiece(nn.Module):
    """The last blocks of a transformer, by the library's own forward, for every token.

    Args:
        piece: The whole model, with at least one unfrozen block.
    """

    def __init__(self, piece: LibraryPiece) -> None:
        super().__init__()
        model, stack = shell(piece.model), shell(piece.model.encoder)
        name = "layer" if hasattr(stack, "layer") else "layers"
        setattr(stack, name, nn.ModuleList(piece.unfrozen))
        model.encoder, model.embeddings = stack, _Given()
        if hasattr(model, "pre_layrnorm"):
            model.pre_layrnorm = nn.Identity()
        entered = shell(piece)
        entered.model, entered.standardize = (
            model,
            None if piece.standardize is None else nn.Identity(),
        )
        self.piece = copy.deepcopy(entered)

    def forward(self, entered: Entered) -> Activations:
        """Run the last blocks.

        Args:
            entered: Hidden states at the first unfrozen block.

        Returns:
            Embeddings (B, D).
        """
        self.piece.model.embeddings.hidden = entered.hidden
        output: Activations = self.piece(entered.raw)
        return output


class _Given(nn.Module):
    """An embedding stage that ignores its input."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden: Tensor | None = None

    def forward(self, *_: Any, **__: Any) -> Tensor | None:
        return self.hidden


def library_blocks(model: Any) -> Sequence[nn.Module]:
    """Find a model's blocks.

    Args:
        model: Of transformers, or torchvision's ResNet, whose blocks are its four stages.

    Returns:
        The blocks, the first first.

    Raises:
        TypeError: If they are nowhere that we look.
    """
    if isinstance(model, ResNet):
        return [model.layer1, model.layer2, model.layer3, model.layer4]
    for path in _BLOCKS:
        found: Any = model
        for name in path:
            found = getattr(found, name, None)
        if isinstance(found, nn.ModuleList):
            return list(found)
    msg = f"model must keep its blocks in a list that we know, got {type(model).__name__}"
    raise TypeError(msg)
