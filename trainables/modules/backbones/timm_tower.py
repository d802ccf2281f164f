"""Vision transformers of timm, in the layout of its checkpoints on the hub (extra `timm`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from trainables.modules.backbones.parts import inner, shell
from trainables.modules.backbones.vision_transformer import VisionTransformerTower

if TYPE_CHECKING:
    from trainables.modules.blocks.cut import Pooling

_EMBEDS = ("patch_embed", "norm_pre", "patch_drop", "pos_drop")
_POOLS = ("attn_pool", "fc_norm", "head_drop")


class TimmVisionTransformerTower(VisionTransformerTower):
    """A `VisionTransformer` of timm, pooled as it was pretrained or by the mean of its patches."""

    def __init__(self, model: Any, *args: Any, **kwargs: Any) -> None:
        _read_any_size(inner(model))
        super().__init__(model, *args, **kwargs)

    @property
    def _hidden_size(self) -> int:
        size: int = inner(self.model).embed_dim
        return size

    @property
    def _probe_side(self) -> int:
        side: int = 2 * inner(self.model).patch_embed.patch_size[0]
        return side

    @property
    def _head(self) -> nn.Module | None:
        return None if _reads_first(inner(self.model)) else TimmPool(inner(self.model))

    def _patches(self) -> nn.Module:
        return TimmPatches(inner(self.model))

    def _library(self, pixels: Tensor, pooling: Pooling) -> Tensor:
        out = self.model(pixels, do_pooling=True)
        if pooling == "mean":
            mean: Tensor = out.last_hidden_state[:, self._first_averaged :].mean(dim=1)
            return mean
        embedding: Tensor = out.pooler_output
        return embedding


def _reads_first(model: Any) -> bool:
    """Return whether a model of timm embeds by CLS alone."""
    return (
        model.global_pool == "token"
        and model.attn_pool is None
        and isinstance(model.fc_norm, nn.Identity)
    )


def _read_any_size(model: Any) -> None:
    """Let a model of timm read images of any size, as if it were made with `dynamic_img_size`."""
    from timm.layers.format import Format  # noqa: PLC0415 - an extra

    embed = model.patch_embed
    model.dynamic_img_size = True
    embed.strict_img_size, embed.dynamic_img_pad = False, True
    embed.flatten, embed.output_fmt = False, Format.NHWC


class TimmPatches(nn.Module):
    """From pixels to the first hidden states, by methods of timm's model."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = _with(model, _EMBEDS)
        self.model._parameters = dict(model._parameters)

    def forward(self, pixels: Tensor) -> Tensor:
        """Embed standardised pixels (B, 3, H, W) to tokens (B, T, D)."""
        model = self.model
        tokens: Tensor = model.norm_pre(
            model.patch_drop(model._pos_embed(model.patch_embed(pixels)))
        )
        return tokens


class TimmPool(nn.Module):
    """From all tokens to the embedding, by methods of timm's model."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = _with(model, _POOLS)
        self.model._parameters = {}

    def forward(self, tokens: Tensor) -> Tensor:
        """Pool tokens (B, T, D) to embeddings (B, D)."""
        embedding: Tensor = self.model.forward_head(tokens, pre_logits=True)
        return embedding


def _with(model: Any, names: tuple[str, ...]) -> Any:
    """Copy a model with some of its modules alone, which are shared."""
    clone = shell(model)
    for name in {*clone._modules} - {*names}:
        clone._modules[name] = None
    return clone
