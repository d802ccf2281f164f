"""Pre-norm vision transformers: ViT, and the image towers of CLIP and BLIP.

Their forward is a chain without masks: patch embedding, a norm in some, blocks, a final norm. If
pooling reads the first token (CLS), the last block is computed for that token alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor, nn

from trainables.modules.backbones.image_towers import ImageTower
from trainables.modules.blocks.open_block import PreNormBlock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainables.modules.blocks.cut import Pooling
    from trainables.modules.blocks.piece import Piece

# BLIP's own forward norms all tokens and then CLS again, and was trained so except for retrieval.
_NORMS_TWICE = "blip_vision_model"


class VisionTransformerTower(ImageTower):
    """A vision transformer of transformers; its embedding is CLS or the mean token.

    Any image size works: position embeddings are interpolated. Pixels that do not fill a patch at
    the right and bottom are ignored.
    """

    unread: ClassVar[tuple[str, ...]] = ("pooler.",)

    def __init__(self, model: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(model, *args, **kwargs)
        self._blocks = getattr(model, "encoder", model).layers
        self._norm = model.layernorm if hasattr(model, "layernorm") else model.post_layernorm
        twice = model.config.model_type == _NORMS_TWICE and not self._reads_first_token
        self._norms = 2 if twice else 1
        self.depth = len(self._blocks)
        self.hidden_size: int = model.config.hidden_size

    @property
    def _reads_first_token(self) -> bool:
        return self.joint is None or self.joint.reads_first_token

    @property
    def _probe_side(self) -> int:
        side: int = 2 * self.model.config.patch_size
        return side

    def _library(self, pixels: Tensor, pooling: Pooling) -> Tensor:
        out = self.model(pixels, interpolate_pos_encoding=True)
        hidden: Tensor = out.last_hidden_state
        if pooling == "mean":
            return hidden.mean(dim=1)
        pooled: Tensor = hidden[:, 0] if self._reads_first_token else out.pooler_output
        return pooled

    def _piece(self, start: int | None, stop: int, pooling: Pooling | None) -> Piece:
        model = self.model
        patches = None
        if start is None:
            patches = Patches(model.embeddings, getattr(model, "pre_layrnorm", None))
        # Once for tokens, as in the library's last hidden states.
        norms = {None: 0, "tokens": 1}.get(pooling, self._norms)
        stack = TokenStack(self._blocks[start or 0 : stop], pooling, self._norm, norms, patches)
        return self._wrap(stack, start)

    def _trainable(self, suffix: Any) -> Sequence[nn.Module]:
        return [suffix.layers.blocks]


class Patches(nn.Module):
    """From pixels to the first hidden states; the norm is that after the embeddings of CLIP."""

    def __init__(self, embeddings: nn.Module, norm: nn.Module | None) -> None:
        super().__init__()
        self.embeddings = embeddings
        self.norm = norm or nn.Identity()

    def forward(self, pixels: Tensor) -> Tensor:
        """Embed standardised pixels (B, 3, H, W) to CLS and patch tokens (B, T, D)."""
        tokens: Tensor = self.norm(self.embeddings(pixels, interpolate_pos_encoding=True))
        return tokens


class TokenStack(nn.Module):
    """A run of blocks that ends in tokens or in one embedding.

    Args:
        blocks: The library's blocks.
        pooling: How it ends in an embedding; `tokens` and None return all tokens.
        norm: The norm after the last block.
        norms: How often it is applied.
        patches: From pixels to tokens; None starts at tokens.
    """

    def __init__(
        self,
        blocks: Sequence[nn.Module],
        pooling: Pooling | None,
        norm: nn.Module,
        norms: int,
        patches: nn.Module | None,
    ) -> None:
        super().__init__()
        self.patches = patches or nn.Identity()
        self.blocks: Any = nn.ModuleList(map(PreNormBlock, blocks))
        self.before_last = nn.Identity()  # to hook the last hidden states of all tokens
        self.norm: Any = norm if norms else None
        self.norms = norms
        self.pooling = pooling

    def forward(self, values: Tensor) -> Tensor:
        """Run the blocks and pool.

        Args:
            values: Standardised pixels (B, 3, H, W) or tokens (B, T, D).

        Returns:
            Tokens (B, T, D) or embeddings (B, D).
        """
        tokens: Tensor = self.patches(values)
        for i, block in enumerate(self.blocks, start=1):
            if i == len(self.blocks):
                tokens = self.before_last(tokens)
            alone = self.pooling == "cls" and i == len(self.blocks)
            readers = tokens[:, :1] if alone else tokens
            context = block.attend(block.project(readers, tokens))
            tokens = block.forward_output(context, readers)
        if self.pooling == "cls":
            tokens = tokens[:, 0]  # before the norm, which treats tokens independently
        for _ in range(self.norms):
            tokens = self.norm(tokens)
        return tokens.mean(dim=1) if self.pooling == "mean" else tokens
