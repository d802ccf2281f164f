"""Convolutional image backbones: torchvision's ResNet, transformers' MobileNetV2."""

from __future__ import annotations

import copy
import json
from abc import abstractmethod
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from trainables.modules.backbones.families import COLOURS
from trainables.modules.backbones.preprocessor import PREPROCESSOR
from trainables.modules.backbones.tower import Tower
from trainables.modules.backbones.weights import RESNET_FILE
from trainables.modules.blocks.activations import Activations
from trainables.modules.blocks.folding import fold_batch_norms
from trainables.modules.blocks.parameters import total_parameters
from trainables.modules.blocks.piece import Piece

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trainables.config import Role
    from trainables.data.images import Colour
    from trainables.modules.backbones.tower import Joint
    from trainables.modules.blocks.cut import Cut, Pooling

IMAGENET_MEAN, IMAGENET_STD = COLOURS["imagenet"]


class ImageTower(Tower):
    """An image backbone with the channel statistics of its pretraining.

    Args:
        model: The library's model.
        mean: Mean of each colour channel, for pixels in [0, 1].
        std: Standard deviation of each colour channel.
        source: Where its weights came from, as given by the user.
        is_random: Whether the weights are random.
        joint: What it shares with the text tower of its checkpoint; None for a single tower.

    Attributes:
        folds: Whether its frozen parts run with batch norms folded into convolutions.
    """

    role: ClassVar[Role] = "image"
    folds = True

    def __init__(
        self,
        model: Any,
        mean: Sequence[float],
        std: Sequence[float],
        source: str,
        *,
        is_random: bool,
        joint: Joint | None = None,
    ) -> None:
        super().__init__(model, source, is_random=is_random, joint=joint)
        self.mean, self.std = tuple(mean), tuple(std)

    @property
    def mean_colour(self) -> Colour:
        """What stands for a missing image: of all colours the nearest to 0 once standardised."""
        red, green, blue = (min(255, max(0, round(255 * mean))) for mean in self.mean)
        return red, green, blue

    def _reads(self) -> dict[str, Any]:
        return super()._reads() | {"mean": self.mean, "std": self.std}

    @property
    def _probe_side(self) -> int:
        return 64

    def probe(self) -> Activations:
        """Return two fixed noise images (2, 3, S, S), uint8."""
        side = self._probe_side
        noise = torch.Generator().manual_seed(0)
        shape = (2, 3, side, side)
        return Activations(torch.randint(0, 256, shape, generator=noise, dtype=torch.uint8))

    def uncut(self, inputs: Activations, pooling: Pooling) -> Tensor:
        """Embed with the library's own forward, before any projection.

        Args:
            inputs: Pixels (B, 3, S, S), uint8.
            pooling: How tokens become one embedding, for models that have tokens.

        Returns:
            Embeddings, shape (B, D).
        """
        return self._library(Standardize(self.mean, self.std)(inputs.values), pooling)

    @abstractmethod
    def _library(self, pixels: Tensor, pooling: Pooling) -> Tensor:
        """Embed standardised pixels (B, 3, S, S) with the library's own forward."""

    def segment(self, start: Cut | None, stop: Cut) -> Piece:
        """Make the frozen layers between two cuts: see `Tower.segment`.

        Returns:
            A module that shares its weights with the tower, but for those that batch norms are
            folded into.
        """
        piece = super().segment(start, stop)
        return fold_batch_norms(piece) if self.folds else piece

    def _wrap(self, layers: nn.Module, start: int | None) -> Piece:
        return ImagePiece(Standardize(self.mean, self.std) if start is None else None, layers)

    def _save(self, folder: Path) -> None:
        self.model.save_pretrained(folder)
        save_colours(folder, self.mean, self.std)


class ResNetTower(ImageTower):
    """A ResNet of torchvision. Its four stages can be unfrozen; its stem stays frozen."""

    depth = 4
    unread: ClassVar[tuple[str, ...]] = ("fc.",)
    poolings = ("cls",)

    def __init__(self, model: Any, source: str, *, is_random: bool) -> None:
        super().__init__(model, IMAGENET_MEAN, IMAGENET_STD, source, is_random=is_random)
        self.hidden_size: int = model.fc.in_features

    @property
    def unused_parameters(self) -> int:
        """Number of parameters of the classifier."""
        return total_parameters(self.model.fc)

    def _library(self, pixels: Tensor, _: Pooling) -> Tensor:
        embedding: Tensor = nn.Sequential(*list(self.model.children())[:-1])(pixels).flatten(1)
        return embedding

    def _piece(self, start: int | None, stop: int, pooling: Pooling | None) -> Piece:
        m = self.model
        stages = [m.layer1, m.layer2, m.layer3, m.layer4][start or 0 : stop]
        layers = OrderedDict((f"stage{(start or 0) + i + 1}", s) for i, s in enumerate(stages))
        if start is None:
            stem = [("conv1", m.conv1), ("bn1", m.bn1), ("relu", m.relu), ("maxpool", m.maxpool)]
            layers = OrderedDict([*stem, *layers.items()])
        if pooling is not None:
            layers["pool"] = nn.AdaptiveAvgPool2d(1)
            layers["flatten"] = nn.Flatten()
        return self._wrap(nn.Sequential(layers), start)

    def _trainable(self, suffix: Any) -> Sequence[nn.Module]:
        return [suffix.layers]

    def _save(self, folder: Path) -> None:
        save_file(self.model.state_dict(), folder / RESNET_FILE)


class MobileNetTower(ImageTower):
    """MobileNetV2 of transformers; its final 1x1 convolution trains when its last block does."""

    poolings = ("cls",)

    def __init__(self, model: Any, *args: Any, **kwargs: Any) -> None:
        _pad_inside(model)
        super().__init__(model, *args, **kwargs)
        self.depth = len(model.layer)
        self.hidden_size: int = next(reversed(list(model.conv_1x1.parameters()))).shape[0]

    def _library(self, pixels: Tensor, _: Pooling) -> Tensor:
        embedding: Tensor = self.model(pixels).pooler_output
        return embedding

    def _piece(self, start: int | None, stop: int, pooling: Pooling | None) -> Piece:
        m = self.model
        layers = OrderedDict([] if start is not None else [("conv_stem", m.conv_stem)])
        layers["layer"] = nn.Sequential(*m.layer[start or 0 : stop])
        if pooling is not None:
            layers["conv_1x1"] = m.conv_1x1
            layers["pool"] = nn.AdaptiveAvgPool2d(1)
            layers["flatten"] = nn.Flatten()
        return self._wrap(nn.Sequential(layers), start)

    def _trainable(self, suffix: Any) -> Sequence[nn.Module]:
        return [suffix.layers]


def _pad_inside(model: Any) -> None:
    """Let convolutions of stride 1 pad by themselves, for which the library copies feature maps.

    TensorFlow's padding, which it imitates, is the usual one there; 1x1 kernels need none.
    """
    if not model.config.tf_padding:
        return
    config = copy.copy(model.config)
    config.tf_padding = False
    for layer in model.modules():
        convolution = getattr(layer, "convolution", None)
        if convolution is not None and convolution.stride == (1, 1):
            sides = zip(convolution.kernel_size, convolution.dilation, strict=True)
            convolution.padding = tuple(dilation * (side // 2) for side, dilation in sides)
            layer.config = config


class ImagePiece(Piece):
    """A run of an image model's layers.

    Args:
        standardize: From uint8 pixels to the model's input range; None if it starts at hidden
            states.
        layers: From its output, or from hidden states, to hidden states or embeddings.
    """

    def __init__(self, standardize: nn.Module | None, layers: nn.Module) -> None:
        super().__init__()
        self.standardize = standardize
        self.layers = layers

    def forward(self, activations: Activations) -> Activations:
        """Run the layers on pixels (B, 3, H, W), uint8, or hidden states."""
        values = activations.values
        if self.standardize:
            values = self.standardize(values)
        if values.ndim == 4:  # convolutions are faster with channels last
            values = values.contiguous(memory_format=torch.channels_last)
        return Activations(self.layers(values))


class Standardize(nn.Module):
    """Map uint8 pixels to the value range that a backbone was pretrained on.

    Args:
        mean: Mean of each colour channel, for pixels in [0, 1].
        std: Standard deviation of each colour channel.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(std)[:, None, None], persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Standardise pixels (B, 3, H, W), uint8, to floats of the same shape."""
        return (pixels / 255 - self.mean) / self.std


def save_colours(folder: Path, mean: Sequence[float], std: Sequence[float]) -> None:
    """Write channel statistics, for pixels in [0, 1], where transformers looks for them."""
    colours = {"image_mean": list(mean), "image_std": list(std)}
    (folder / PREPROCESSOR).write_text(json.dumps(colours))
