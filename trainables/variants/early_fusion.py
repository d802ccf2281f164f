"""Early fusion: a text and an image backbone, one classifier on both embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainables.hyperparameter import (
    AT_LEAST_1,
    Choices,
    FloatRange,
    IntRange,
    hyperparameter,
)
from trainables.variants.towers import PAIR_INPUTS, PairConfig, load_pair
from trainables.variants.variant import Variant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainables.modules.heads.head import Head


@dataclass(frozen=True, kw_only=True)
class EarlyFusionConfig(PairConfig):
    """Hyperparameters of early fusion."""

    head_learning_rate: float = hyperparameter(1e-3, FloatRange(2e-4, 2e-3, log=True))
    backbone_learning_rate: float = hyperparameter(1e-4, FloatRange(1e-5, 2e-4, log=True))
    max_epochs: int = 5
    neutral_threshold: float = 0.42
    normalize: bool = hyperparameter(
        False,
        Choices(False, True),
        doc="Whether projected embeddings are scaled to unit L2 norm.",
    )
    projection_width: int = hyperparameter(
        256,
        Choices(128, 256, 512),
        rule=AT_LEAST_1,
        doc="Size that each embedding is projected to.",
    )
    hidden_width: int = hyperparameter(512, IntRange(128, 1024, step=128))
    # A few thousand pairs are learnt by heart in three epochs without much dropout.
    head_dropout: float = hyperparameter(0.5, FloatRange(0.3, 0.7))


def early_fusion_head(config: EarlyFusionConfig, widths: Mapping[str, int], classes: int) -> Head:
    """Make the head; `widths` is the size of each role's embedding."""
    from trainables.modules.heads.fusion import EarlyFusionHead  # noqa: PLC0415 - keeps torch out

    return EarlyFusionHead(
        widths,
        config.projection_width,
        config.hidden_width,
        classes,
        config.head_dropout,
        normalize=config.normalize,
    )


EARLY_FUSION = Variant(
    name="early_fusion",
    config=EarlyFusionConfig,
    backbones={"text": "google-bert/bert-base-uncased", "image": "resnet18"},
    load=load_pair,
    head=early_fusion_head,
    inputs=PAIR_INPUTS,
)
