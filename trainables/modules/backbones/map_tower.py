"""Models whose blocks go from feature maps to feature maps: ConvNeXt, Swin, ResNet, and timm's.

Swin's blocks go from tokens to tokens and need to know their grid; here they lie on it, so that
what is cached tells it.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from trainables.modules.backbones.image_towers import ImageTower
from trainables.modules.backbones.parts import declared_places, inner, parts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trainables.modules.backbones.families import MapPlaces
    from trainables.modules.blocks.cut import Pooling
    from trainables.modules.blocks.piece import Piece


class MapTower(ImageTower):
    """A model of transformers or timm that ends in the mean of its last feature maps."""

    poolings = ("cls",)

    def __init__(self, model: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(model, *args, **kwargs)
        self._places: MapPlaces = declared_places(model)
        self._blocks = list(self._find_blocks())
        self.depth = len(self._blocks)
        self.hidden_size: int = _width(model)

    def _find_blocks(self) -> Iterator[nn.Module]:
        """Yield the blocks of all stages, each with what its stage has before or after it."""
        places = self._places
        stages: list[Any] = parts(self.model, places.stages)
        for stage in stages if len(stages) > 1 else stages[0]:
            layers = list(getattr(stage, places.blocks) if places.blocks else stage)
            before = getattr(stage, places.before) if places.before else None
            after = getattr(stage, places.after) if places.after else None
            for i, layer in enumerate(layers):
                is_last = i == len(layers) - 1
                if places.windows:
                    yield WindowBlock(layer, after if is_last else None)
                else:
                    yield _chained(before if i == 0 else None, layer, after if is_last else None)

    @property
    def _probe_side(self) -> int:
        # Smaller grids than its windows are beyond the library's own Swin.
        side: int = self.model.config.image_size if self._places.windows else super()._probe_side
        return side

    def _library(self, pixels: Tensor, _: Pooling) -> Tensor:
        asked = {"do_pooling": True} if inner(self.model) is not self.model else {}
        embedding: Tensor = self.model(pixels, **asked).pooler_output.flatten(1)
        return embedding

    def _piece(self, start: int | None, stop: int, pooling: Pooling | None) -> Piece:
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        if start is None:
            stem = parts(self.model, self._places.stem)
            layers["stem"] = MapsOfTokens(stem[0]) if self._places.windows else _chained(*stem)
        layers["blocks"] = nn.Sequential(*self._blocks[start or 0 : stop])
        if pooling is not None:
            for name in ("tail", "norm"):
                layers[name] = self._on_maps(getattr(self._places, name))
            layers["pool"] = nn.AdaptiveAvgPool2d(1)
            layers["norm_of_mean"] = self._on_maps(self._places.norm_of_mean)
            layers["flatten"] = nn.Flatten()
        return self._wrap(nn.Sequential(layers), start)

    def _on_maps(self, places: Sequence[str]) -> nn.Module:
        found = parts(self.model, places)
        return nn.Sequential(*[ChannelsLast(m) if type(m) is nn.LayerNorm else m for m in found])

    def _trainable(self, suffix: Any) -> Sequence[nn.Module]:
        return [suffix.layers.blocks, suffix.layers.tail]


def _chained(*modules: nn.Module | None) -> nn.Module:
    """Run modules one after another; a list of them is such a run too."""
    run: list[nn.Module] = []
    for module in modules:
        run += list(module) if isinstance(module, nn.ModuleList) else [module] if module else []
    return run[0] if len(run) == 1 else nn.Sequential(*run)


def _width(model: Any) -> int:
    """Return the width of the embedding."""
    if inner(model) is not model:
        of_timm: int = model.timm_model.head_hidden_size
        return of_timm
    width: int = getattr(model.config, "hidden_size", None) or model.config.hidden_sizes[-1]
    return width


class ChannelsLast(nn.Module):
    """Run a norm over the channels of feature maps."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, maps: Tensor) -> Tensor:
        """Norm feature maps (B, C, h, w)."""
        normed: Tensor = self.norm(maps.movedim(1, -1)).movedim(-1, 1)
        return normed


class MapsOfTokens(nn.Module):
    """Swin's embeddings, laid out as feature maps."""

    def __init__(self, embeddings: nn.Module) -> None:
        super().__init__()
        self.embeddings = embeddings

    def forward(self, pixels: Tensor) -> Tensor:
        """Embed standardised pixels (B, 3, H, W) to feature maps (B, C, h, w)."""
        tokens, grid = self.embeddings(pixels, interpolate_pos_encoding=True)
        maps: Tensor = tokens.transpose(1, 2).unflatten(2, tuple(grid))
        return maps


class WindowBlock(nn.Module):
    """A block of Swin on feature maps.

    The library's block keeps the smallest window that it ever met; here every input has the window
    of its own size. Maps smaller than the window are padded, where the library fails.

    Args:
        block: The library's block.
        merging: What follows the last block of a stage; None elsewhere.
    """

    def __init__(self, block: Any, merging: nn.Module | None) -> None:
        super().__init__()
        self.block = block
        self.merging = merging
        self.window, self.shift = block.window_size, block.shift_size

    def forward(self, maps: Tensor) -> Tensor:
        """Attend within windows: (B, C, h, w) to the same, or to (B, 2 C, h / 2, w / 2)."""
        height, width = maps.shape[2:]
        block = copy.copy(self.block)  # shares its parts; threads run it side by side
        block.window_size = self.window
        block.shift_size = self.shift if min(height, width) > self.window else 0
        tokens = maps.flatten(2).transpose(1, 2)
        tokens = block(tokens, (height, width), always_partition=True)[0]
        if self.merging is not None:
            tokens = self.merging(tokens, (height, width))
            height, width = (height + 1) // 2, (width + 1) // 2
        merged: Tensor = tokens.transpose(1, 2).unflatten(2, (height, width))
        return merged
