"""The real architectures of three variants with random weights, made without any download.

Weights are saved once in the libraries' own formats and loaded by the variants' own loaders, so
that towers are made by the code that a search runs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

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
from trainables.modules.backbones.image_towers import Standardize
from trainables.modules.backbones.tokenizers import HashTokenizer
from trainables.modules.backbones.weights import RESNET_FILE
from trainables.modules.blocks.activations import Activations
from trainables.variants import VARIANTS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from trainables.config import TrainConfig
    from trainables.modules.backbones.tower import Tower
    from trainables.modules.blocks.cut import Pooling

logging.disable_progress_bar()

SIDE = 224
# Lengths of tweets of 13 words in word pieces, cut at the lab's 32.
_MEAN_TOKENS, _TOKENS_SPREAD, _TOKENS = 18.0, 6.0, (6, 32)


@dataclass(frozen=True)
class Architecture:
    """One variant's real backbones.

    Attributes:
        variant: A key of `VARIANTS`.
        title: What people call the backbones.
        special_ids: The ids that begin, end and pad a text.
        make: Makes the library's models with random weights and saves them in a folder; gives
            the models by role and the sources that the variant's loader reads.
    """

    variant: str
    title: str
    special_ids: tuple[int, int, int]
    make: Callable[[Path], tuple[dict[str, Any], dict[str, str]]]

    def config(self, unfrozen_layers: int) -> TrainConfig:
        """Give the hand-tuned config with as many unfrozen blocks in both towers.

        Args:
            unfrozen_layers: How many, >= 1.

        Returns:
            The config; embeddings are read off the first token where there is a choice.
        """
        chosen: dict[str, Any] = dict.fromkeys(
            ("text_unfrozen_layers", "image_unfrozen_layers"), unfrozen_layers
        )
        hand_tuned: TrainConfig = VARIANTS[self.variant].hand_tuned
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
        ids = torch.randint(1000, 20_000, (count, len(places)), generator=draws)
        ids[:, 0] = begin
        ids[places == lengths[:, None] - 1] = end
        mask = places < lengths[:, None]
        pixels = torch.randint(0, 256, (count, 3, SIDE, SIDE), generator=draws).byte()
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


def _make_bert_and_resnet(folder: Path) -> tuple[dict[str, Any], dict[str, str]]:
    bert, resnet = BertModel(BertConfig()), resnet18()
    _save(bert, folder / "text")
    bert.pooler = None  # nobody reads it
    save_file(resnet.state_dict(), folder / RESNET_FILE)
    resnet.fc = torch.nn.Identity()
    sources = {"text": str(folder / "text"), "image": str(folder / RESNET_FILE)}
    return {"text": bert, "image": resnet}, sources


def _make_clip(folder: Path) -> tuple[dict[str, Any], dict[str, str]]:
    return _halves("clip", CLIPModel(CLIPConfig()), folder)  # its defaults are ViT-B/32


def _make_blip(folder: Path) -> tuple[dict[str, Any], dict[str, str]]:
    config = BlipConfig(
        text_config={"num_attention_heads": 12, "encoder_hidden_size": 768},
        vision_config={"image_size": SIDE},
    )
    return _halves("blip", BlipModel(config), folder)


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


ARCHITECTURES: Mapping[str, Architecture] = {
    architecture.variant: architecture
    for architecture in (
        Architecture(
            "early_fusion", "BERT-base + ResNet-18", (101, 102, 0), _make_bert_and_resnet
        ),
        Architecture("clip", "CLIP ViT-B/32", (49_406, 49_407, 49_407), _make_clip),
        Architecture("blip", "BLIP-base, 224 px", (30_522, 102, 0), _make_blip),
    )
    if architecture.variant in VARIANTS
}
"""The architectures of the variants that there are, by the name of the variant."""
