"""Real architectures of the variants with random weights, made without any download.

Weights are saved once in the libraries' own formats and loaded by the variants' own loaders, so
that towers are made by the code that a search runs.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from safetensors.torch import save_file
from torchvision.models import resnet18
from transformers import (
    BertConfig,
    BertModel,
    BlipConfig,
    BlipModel,
    CLIPConfig,
    CLIPModel,
    PreTrainedModel,
)
from transformers.utils import logging

from tests.benchmarks.library import LibraryPiece
from trainables.config import ROLES
from trainables.modules.backbones.image_towers import Standardize
from trainables.modules.backbones.tokenizers import HashTokenizer
from trainables.modules.backbones.weights import RESNET_FILE
from trainables.modules.blocks.activations import Activations
from trainables.variants import VARIANTS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torchvision.models import ResNet

    from trainables.modules.backbones.tower import Tower
    from trainables.modules.blocks.cut import Pooling
    from trainables.variants.towers import TowersConfig

logging.disable_progress_bar()
logging.set_verbosity_error()

# Lengths of tweets of 13 words in word pieces, cut at the lab's 32.
_MEAN_TOKENS, _TOKENS_SPREAD, _TOKENS = 18.0, 6.0, (6, 32)


class Loaded(NamedTuple):
    """The backbones of an architecture.

    Attributes:
        models: The library's models, by role.
        towers: Ours, made by the variant's own loader from the same weights.
    """

    models: dict[str, Any]
    towers: Mapping[str, Tower]


@dataclass(frozen=True)
class Architecture:
    """One variant's backbones.

    Attributes:
        variant: A key of `VARIANTS`.
        title: What people call the backbones.
        special_ids: The ids that begin, end and pad a text.
        make: Makes the library's models with random weights and saves them in a folder; gives
            the models by role and the sources that the variant's loader reads.
        side: Of images, in pixels.
        first_id: The least id of a word.
        vocabulary: One more than the largest id of a word.
    """

    variant: str
    title: str
    special_ids: tuple[int, int, int]
    make: Callable[[Path], tuple[dict[str, Any], dict[str, str]]]
    side: int = 224
    first_id: int = 1000
    vocabulary: int = 20_000

    def load(self) -> Loaded:
        """Make the backbones.

        Returns:
            Both kinds of them, on the CPU.
        """
        with tempfile.TemporaryDirectory() as folder:
            models, sources = self.make(Path(folder))
            return Loaded(models, VARIANTS[self.variant].load(sources, ROLES["both"]))

    def config(self, unfrozen_layers: int) -> TowersConfig:
        """Give the hand-tuned config with as many unfrozen blocks in both towers.

        Args:
            unfrozen_layers: How many, >= 1.

        Returns:
            The config; embeddings are read off the first token where there is a choice.
        """
        chosen: dict[str, Any] = dict.fromkeys(
            ("text_unfrozen_layers", "image_unfrozen_layers"), unfrozen_layers
        )
        hand_tuned: TowersConfig = VARIANTS[self.variant].hand_tuned
        if hasattr(hand_tuned, "text_pooling"):
            chosen["text_pooling"] = "cls"
        return replace(hand_tuned, **chosen)

    def inputs(self, count: int, seed: int) -> dict[str, Activations]:
        """Draw raw inputs: texts as long as tweets are, padded to the longest, and noise.

        Args:
            count: How many pairs.
            seed: Seeds them.

        Returns:
            Token ids (B, L) with their mask and pixels (B, 3, S, S), uint8.
        """
        draws = torch.Generator().manual_seed(seed)
        lengths = torch.empty(count).normal_(_MEAN_TOKENS, _TOKENS_SPREAD, generator=draws)
        lengths = lengths.round().long().clamp(*_TOKENS)
        places = torch.arange(int(lengths.max()))
        begin, end, padding = self.special_ids
        shape = count, len(places)
        ids = torch.randint(self.first_id, self.vocabulary, shape, generator=draws)
        ids[:, 0] = begin
        ids[places == lengths[:, None] - 1] = end
        mask = places < lengths[:, None]
        pixels = torch.randint(
            0, 256, (count, 3, self.side, self.side), dtype=torch.uint8, generator=draws
        )
        return {
            "text": Activations(ids.masked_fill(~mask, padding), mask),
            "image": Activations(pixels),
        }


def uncut_pieces(
    models: Mapping[str, Any], towers: Mapping[str, Tower], unfrozen_layers: int
) -> dict[str, LibraryPiece]:
    """Put the library's models behind the interface of suffixes.

    Args:
        models: The library's models by role, as `Architecture.make` gives them.
        towers: Our towers, whose colour statistics are used.
        unfrozen_layers: How many of the last blocks train.

    Returns:
        Whole models from raw inputs to embeddings, by role.
    """
    pieces = {}
    for role, model in models.items():
        whole, projection = model if isinstance(model, tuple) else (model, None)
        pooling: Pooling | None = "cls" if isinstance(whole, BertModel) else None
        tower: Any = towers[role]
        standardize = Standardize(tower.mean, tower.std) if role == "image" else None
        pieces[role] = LibraryPiece(whole, unfrozen_layers, pooling, projection, standardize)
    return pieces


def bert_and_resnet(
    config: BertConfig, make_resnet: Callable[[], ResNet], folder: Path
) -> tuple[dict[str, Any], dict[str, str]]:
    """Make a BERT and a ResNet and save them.

    Args:
        config: Of the BERT.
        make_resnet: Makes the other.
        folder: Where to; empty.

    Returns:
        The models by role, and what the variant's loader reads.
    """
    bert, resnet = BertModel(config), make_resnet()
    _save(bert, folder / "text")
    bert.pooler = None  # nobody reads it
    save_file(resnet.state_dict(), folder / RESNET_FILE)
    resnet.fc = torch.nn.Identity()
    sources = {"text": str(folder / "text"), "image": str(folder / RESNET_FILE)}
    return {"text": bert, "image": resnet}, sources


def clip(config: CLIPConfig, folder: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Make a CLIP and save it; arguments and result as of `bert_and_resnet`."""
    return _halves("clip", CLIPModel(config), folder)


def blip(config: BlipConfig, folder: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Make a BLIP and save it; arguments and result as of `bert_and_resnet`."""
    return _halves("blip", BlipModel(config), folder)


def blip_base(side: int) -> BlipConfig:
    """Describe BLIP-base.

    Args:
        side: Of images, in pixels.

    Returns:
        Its config.
    """
    return BlipConfig(
        text_config={"num_attention_heads": 12, "encoder_hidden_size": 768},
        vision_config={"image_size": side},
    )


def _halves(name: str, model: Any, folder: Path) -> tuple[dict[str, Any], dict[str, str]]:
    _save(model, folder / name)
    halves = {
        "text": (model.text_model, model.text_projection),
        "image": (model.vision_model, model.visual_projection),
    }
    return halves, {name: str(folder / name)}


def _save(model: PreTrainedModel, folder: Path) -> None:
    folder.mkdir(parents=True)
    model.save_pretrained(folder)
    text = getattr(model.config, "text_config", model.config)
    HashTokenizer(text.vocab_size).save(folder)


BERT_IDS, CLIP_IDS, BLIP_IDS = (101, 102, 0), (49_406, 49_407, 49_407), (30_522, 102, 0)
"""The special ids of real tokenizers."""

ARCHITECTURES: Mapping[str, Architecture] = {
    architecture.variant: architecture
    for architecture in (
        Architecture(
            "early_fusion",
            "BERT-base + ResNet-18",
            BERT_IDS,
            partial(bert_and_resnet, BertConfig(), resnet18),
        ),
        # The defaults of CLIP are those of ViT-B/32.
        Architecture("clip", "CLIP ViT-B/32", CLIP_IDS, partial(clip, CLIPConfig())),
        Architecture("blip", "BLIP-base, 224 px", BLIP_IDS, partial(blip, blip_base(224))),
    )
    if architecture.variant in VARIANTS
}
"""The architectures of the variants that there are, by the name of the variant."""
