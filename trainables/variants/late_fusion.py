"""Late fusion: a text and an image backbone, each with a classifier of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from trainables.config import BranchFusion
from trainables.evaluation.classes import Sentiment
from trainables.variants.early_fusion import EARLY_FUSION
from trainables.variants.towers import PAIR_INPUTS, PairConfig, load_pair
from trainables.variants.variant import Variant

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trainables.modules.heads.head import Head


@dataclass(frozen=True, kw_only=True)
class LateFusionConfig(PairConfig):
    """Hyperparameters of late fusion.

    Attributes:
        fusion: `weighted` averages the probabilities of both branches; `vote` takes those of the
            branch that is more certain. It decides, and trains nothing.
        fusion_weight: Weight of the text branch in `weighted`, in [0, 1]; the image branch has
            the rest.
    """

    head_dropout: float = 0.3
    fusion: BranchFusion = "weighted"
    fusion_weight: float = 0.5

    def faults(self) -> Iterator[str]:
        """Say what is wrong with the values.

        Yields:
            One sentence per value out of its range.
        """
        yield from super().faults()
        if self.fusion not in get_args(BranchFusion):
            yield f"fusion must be weighted or vote, got {self.fusion!r}"
        if not 0 <= self.fusion_weight <= 1:
            yield f"fusion_weight must be in [0, 1], got {self.fusion_weight}"


def late_fusion_head(config: LateFusionConfig, widths: Mapping[str, int]) -> Head:
    """Make the head.

    Args:
        config: The trial's hyperparameters.
        widths: Size of each role's embedding.

    Returns:
        The head, as drawn.
    """
    from trainables.modules.heads.late_fusion import LateFusionHead  # noqa: PLC0415 - keeps torch out

    return LateFusionHead(
        widths,
        config.hidden_width,
        len(Sentiment),
        config.head_dropout,
        fusion=config.fusion,
        weight=config.fusion_weight,
    )


LATE_FUSION = Variant(
    name="late_fusion",
    config=LateFusionConfig,
    backbones=EARLY_FUSION.backbones,  # so that the two differ in how they fuse alone
    hand_tuned=LateFusionConfig(),
    load=load_pair,
    head=late_fusion_head,
    inputs=PAIR_INPUTS,
    fusing=frozenset({"fusion", "fusion_weight"}),
    counts_unused=True,
)
