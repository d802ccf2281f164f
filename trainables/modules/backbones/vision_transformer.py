"""Pre-norm vision transformers: ViT, DeiT, DINOv2, and the image towers of CLIP, SigLIP and BLIP.

Their forward is a chain without masks: patch embedding, a norm in some, blocks, a final norm. If
pooling reads the first token (CLS), the last block is computed for that token alone.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from torch import Tensor, nn

from trainables.modules.backbones.image_towers import ImageTower
from trainables.modules.backbones.parts import declared_places, inner, part, parts
from trainables.modules.blocks.open_block import OpenBlock, PreNormBlock, is_pre_norm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainables.modules.backbones.families import TokenPlaces
    from trainables.modules.blocks.cut import Pooling
    from trainables.modules.blocks.piece import Piece

# BLIP's own forward norms all tokens and then CLS again, and was trained so except for retrieval.
_NORMS_TWICE = "blip_vision_model"


class VisionTransformerTower(ImageTower):
    """A vision transformer of transformers; its embedding is CLS, what its head pools, or a mean.

    Any image size works: position embeddings are interpolated. Pixels that do not fill a patch at
    the right and bottom are ignored.

    Attributes:
        opens: Whether its blocks are run by our code, so that the last may compute CLS alone.
    """

    unread: ClassVar[tuple[str, ...]] = ("pooler.",)

    def __init__(self, model: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(model, *args, **kwargs)
        self._places: TokenPlaces = declared_places(model)
        self._blocks = part(model, self._places.blocks)
        self._norm = part(model, self._places.norm)
        twice = model.config.model_type == _NORMS_TWICE and not self._reads_first_token
        self._norms = 2 if twice else 1
        self.opens = all(map(is_pre_norm, self._blocks))
        self.depth = len(self._blocks)
        self.hidden_size: int = self._hidden_size

    @property
    def _hidden_size(self) -> int:
        size: int = self.model.config.hidden_size
        return size

    @property
    def _reads_first_token(self) -> bool:
        return self.joint is None or self.joint.reads_first_token

    @property
    def _extra_tokens(self) -> int:
        count, name = self._places.extra_tokens
        return count + (attrgetter(name)(inner(self.model)) if name else 0)

    @property
    def poolings(self) -> tuple[Pooling, ...]:
        """The supported ways of pooling."""
        reads_one = self._head is not None or self._extra_tokens > 0
        return tuple(name for name in super().poolings if name != "cls" or reads_one)

    @property
    def _head(self) -> nn.Module | None:
        """What pools all tokens to the embedding, instead of reading CLS."""
        head: nn.Module | None = getattr(self.model, self._places.head or "none", None)
        return head

    @property
    def _probe_side(self) -> int:
        side: int = 2 * self.model.config.patch_size
        return side

    def _library(self, pixels: Tensor, pooling: Pooling) -> Tensor:
        asked = {"interpolate_pos_encoding": True} if self._places.resizes else {}
        out = self.model(pixels, **asked)
        hidden: Tensor = out.last_hidden_state
        if pooling == "mean":
            hidden = hidden if self._places.norms_tokens else self._norm(hidden)
            return hidden[:, self._first_averaged :].mean(dim=1)
        reads_pooler = self._places.reads_pooler and not (self.joint and self._reads_first_token)
        pooled: Tensor = out.pooler_output if reads_pooler else hidden[:, 0]
        return pooled

    @property
    def _first_averaged(self) -> int:
        return 0 if self._places.averages_extra_tokens else self._extra_tokens

    def _patches(self) -> nn.Module:
        first, *after = parts(self.model, self._places.embeddings)
        return Patches(first, after[0] if after else None, asks=self._places.resizes)

    def _piece(self, start: int | None, stop: int, pooling: Pooling | None) -> Piece:
        blocks = self._blocks[start or 0 : stop]
        ending = Ending(
            pooling,
            # Once for tokens, as in the library's last hidden states.
            (self._norm,) * {None: 0, "tokens": 1}.get(pooling, self._norms),
            self._head if pooling == "cls" else None,
            self._extra_tokens,
            self._first_averaged,
        )
        opened = [PreNormBlock(block) if self.opens else block for block in blocks]
        stack = TokenStack(opened, ending, self._patches() if start is None else None)
        return self._wrap(stack, start)

    def _trainable(self, suffix: Any) -> Sequence[nn.Module]:
        return [suffix.layers.blocks]


class Patches(nn.Module):
    """From pixels to the first hidden states.

    Args:
        embeddings: The library's module.
        norm: The norm after it, in CLIP.
        asks: Whether it interpolates position embeddings only if asked.
    """

    def __init__(self, embeddings: nn.Module, norm: nn.Module | None, *, asks: bool) -> None:
        super().__init__()
        self.embeddings = embeddings
        self.norm = norm or nn.Identity()
        self.asked = {"interpolate_pos_encoding": True} if asks else {}

    def forward(self, pixels: Tensor) -> Tensor:
        """Embed standardised pixels (B, 3, H, W) to tokens (B, T, D): CLS and those of patches."""
        tokens: Tensor = self.norm(self.embeddings(pixels, **self.asked))
        return tokens


class Ending(NamedTuple):
    """How a run of blocks ends.

    Attributes:
        pooling: How tokens become an embedding; `tokens` and None keep all tokens.
        norms: What norms tokens after the last block, in order: one module, once or more often.
        head: From all tokens (B, T, D) to the embedding (B, D); None reads the first token.
        extra_tokens: Number of tokens before those of patches.
        first_averaged: The first token of a mean.
    """

    pooling: Pooling | None
    norms: tuple[Any, ...]
    head: nn.Module | None
    extra_tokens: int
    first_averaged: int


class TokenStack(nn.Module):
    """A run of blocks that ends in tokens or in one embedding.

    Args:
        blocks: Blocks that are split, or the library's own.
        ending: How it ends.
        patches: From pixels to tokens; None starts at tokens.
    """

    def __init__(
        self, blocks: Sequence[nn.Module], ending: Ending, patches: nn.Module | None
    ) -> None:
        super().__init__()
        self.patches = patches or nn.Identity()
        self.blocks: Any = nn.ModuleList(blocks)
        self.before_last = nn.Identity()  # to hook the last hidden states of all tokens
        self.norm: Any = ending.norms[0] if ending.norms else None
        self.norms = len(ending.norms)
        self.head = ending.head
        self.pooling = ending.pooling
        self.extra_tokens = ending.extra_tokens
        self.first_averaged = ending.first_averaged

    def forward(self, values: Tensor) -> Tensor:
        """Run the blocks and pool.

        Args:
            values: Standardised pixels (B, 3, H, W) or tokens (B, T, D).

        Returns:
            Tokens (B, T, D) or embeddings (B, D).
        """
        tokens: Tensor = self.patches(values)
        reads_one = self.pooling == "cls" and self.head is None
        for i, block in enumerate(self.blocks, start=1):
            if i == len(self.blocks):
                tokens = self.before_last(tokens)
            tokens = _run(block, tokens, alone=reads_one and i == len(self.blocks))
        if reads_one:
            tokens = tokens[:, 0]  # before the norm, which treats tokens independently
        for _ in range(self.norms):
            tokens = self.norm(tokens)
        if self.head is not None:
            embedding: Tensor = self.head(tokens)
            return embedding
        return tokens[:, self.first_averaged :].mean(dim=1) if self.pooling == "mean" else tokens


def _run(block: Any, tokens: Tensor, *, alone: bool) -> Tensor:
    """Run a block on tokens (B, T, D); if `alone`, for the first alone, shape (B, 1, D)."""
    if not isinstance(block, OpenBlock):
        output: Tensor = block(tokens)
        return output
    readers = tokens[:, :1] if alone else tokens
    context = block.attend(block.project(readers, tokens))
    return block.forward_output(context, readers)
