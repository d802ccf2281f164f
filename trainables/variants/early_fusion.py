"""Early fusion: a text and an image backbone, one classifier on both embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainables.evaluation.classes import Sentiment
from trainables.variants.towers import PAIR_INPUTS, PairConfig, load_pair
from trainables.variants.variant import Variant

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trainables.modules.heads.head import Head


@dataclass(frozen=True, kw_only=True)
class EarlyFusionConfig(PairConfig):
    """Hyperparameters of early fusion.

    Attributes:
        projection_width: Size that each embedding is projected to, >= 1.
        normalize: Whether projected embeddings are scaled to unit L2 norm.
    """

    class_weight_smoothing: float = 0.0
    max_epochs: int = 5
    projection_width: int = 256
    hidden_width: int = 512
    normalize: bool = False

    def faults(self) -> Iterator[str]:
        """Say what is wrong with the values.

        Yields:
            One sentence per value out of its range.
        """
        yield from super().faults()
        if self.projection_width < 1:
            yield f"projection_width must be >= 1, got {self.projection_width}"


def early_fusion_head(config: EarlyFusionConfig, widths: Mapping[str, int]) -> Head:
    """Make the head.

    Args:
        config: The trial's hyperparameters.
        widths: Size of each role's embedding.

    Returns:
        The head, as drawn.
    """
    from trainables.modules.heads.fusion import EarlyFusionHead  # noqa: PLC0415 - keeps torch out

    return EarlyFusionHead(
        widths,
        config.projection_width,
        config.hidden_width,
        len(Sentiment),
        config.head_dropout,
        normalize=config.normalize,
    )


EARLY_FUSION = Variant(
    name="early_fusion",
    config=EarlyFusionConfig,
    backbones={"text": "google-bert/bert-base-uncased", "image": "resnet18"},
    hand_tuned=EarlyFusionConfig(neutral_threshold=0.42),
    load=load_pair,
    head=early_fusion_head,
    inputs=PAIR_INPUTS,
)
