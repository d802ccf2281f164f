"""The families of backbones, and what their own libraries make of the same inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

from tests.trainables.modules.references import embed_maps, embed_text, embed_vit, standardized
from trainables.modules.backbones.image_towers import ImageTower
from trainables.modules.backbones.pretrained import load_image_tower, load_text_tower
from trainables.modules.blocks.activations import Activations

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trainables.modules.backbones.tower import Tower
    from trainables.modules.blocks.cut import Pooling


@dataclass(frozen=True)
class Family:
    """A kind of backbone: how deep its small model is, and how the uncut model embeds."""

    role: str
    depth: int
    embed: Callable[[Tower, Activations, Pooling], Tensor]
    blocks: Callable[[Any, int], list[nn.Module]]


def embed_resnet(tower: Tower, inputs: Activations, _: Pooling) -> Tensor:
    classifier, tower.model.fc = tower.model.fc, nn.Identity()
    embedding: Tensor = tower.model(standardized(tower, inputs))
    tower.model.fc = classifier
    return embedding


def last(blocks: Any, count: int) -> list[nn.Module]:
    return list(blocks)[len(blocks) - count :]


FAMILIES: Mapping[str, Family] = {
    "bert": Family("text", 3, embed_text, lambda m, k: last(m.encoder.layer, k)),
    "roberta": Family("text", 2, embed_text, lambda m, k: last(m.encoder.layer, k)),
    "distilbert": Family("text", 2, embed_text, lambda m, k: last(m.transformer.layer, k)),
    "resnet": Family(
        "image", 4, embed_resnet, lambda m, k: last([m.layer1, m.layer2, m.layer3, m.layer4], k)
    ),
    "mobilenet": Family(
        "image",
        16,
        embed_maps,
        lambda m, k: [*last(m.layer, k), *([m.conv_1x1] if k else [])],
    ),
    "vit": Family("image", 2, embed_vit, lambda m, k: last(m.layers, k)),
}


def load(weights: Mapping[str, str], family: str) -> Tower:
    if FAMILIES[family].role == "text":
        return load_text_tower(weights[family])
    return load_image_tower(weights[family])


@pytest.fixture(scope="session")
def towers(weights: Mapping[str, str]) -> Mapping[str, Tower]:
    """One tower of each family; a test must not change it."""
    return {family: load(weights, family) for family in FAMILIES}


@pytest.fixture
def unfolded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave batch norms where they are: folding them rounds, which random weights amplify."""
    monkeypatch.setattr(ImageTower, "folds", False)


@pytest.fixture(scope="session")
def inputs() -> Mapping[str, Activations]:
    """A batch of five of each role: token ids padded to different lengths, and pixels."""
    return batches()


def batches() -> Mapping[str, Activations]:
    """Make a batch of five of each role."""
    generator = torch.Generator().manual_seed(1)
    lengths = torch.tensor([7, 2, 5, 9, 1])
    mask = torch.arange(9) < lengths[:, None]
    ids = torch.randint(5, 40, (5, 9), generator=generator).masked_fill(~mask, 0)
    pixels = torch.randint(0, 256, (5, 3, 64, 64), generator=generator, dtype=torch.uint8)
    return {"text": Activations(ids, mask), "image": Activations(pixels)}
