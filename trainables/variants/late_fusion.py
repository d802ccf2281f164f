"""Late fusion: a text and an image backbone, each with a classifier of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from trainables.config import BranchFusion
from trainables.hyperparameter import (
    SHARE,
    Choices,
    FloatRange,
    IntRange,
    When,
    hyperparameter,
)
from trainables.variants.early_fusion import EARLY_FUSION
from trainables.variants.towers import PAIR_INPUTS, PairConfig, load_pair
from trainables.variants.variant import Variant

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trainables.modules.blocks.cut import Pooling
    from trainables.modules.heads.head import Head


@dataclass(frozen=True, kw_only=True)
class LateFusionConfig(PairConfig):
    """Hyperparameters of late fusion."""

    fusion: BranchFusion = hyperparameter(
        "weighted",
        Choices("weighted", "vote"),
        doc="`weighted` averages the probabilities of both branches; `vote` takes those of the "
        "branch that is more certain. It decides, and trains nothing.",
    )
    fusion_weight: float = hyperparameter(
        0.5,
        FloatRange(0.2, 0.8),
        when=When("fusion", "weighted"),
        rule=SHARE,
        doc="Weight of the text branch in `weighted`; the image branch has the rest.",
    )
    text_pooling: Pooling = hyperparameter("mean", Choices("cls", "mean"))
    hidden_width: int = hyperparameter(256, IntRange(64, 512, step=64))
    head_dropout: float = hyperparameter(0.3, FloatRange(0.1, 0.6))

    def faults(self) -> Iterator[str]:
        """Yield one sentence per value out of its range."""
        yield from super().faults()
        if self.fusion not in get_args(BranchFusion):
            yield f"fusion must be weighted or vote, got {self.fusion!r}"


def late_fusion_head(config: LateFusionConfig, widths: Mapping[str, int], classes: int) -> Head:
    """Make the head; `widths` is the size of each role's embedding."""
    from trainables.modules.heads.late_fusion import LateFusionHead  # noqa: PLC0415 - keeps torch out

    return LateFusionHead(
        widths,
        config.hidden_width,
        classes,
        config.head_dropout,
        fusion=config.fusion,
        weight=config.fusion_weight,
    )


LATE_FUSION = Variant(
    name="late_fusion",
    config=LateFusionConfig,
    backbones=EARLY_FUSION.backbones,  # so that the two differ in how they fuse alone
    load=load_pair,
    head=late_fusion_head,
    inputs=PAIR_INPUTS,
    fusing=frozenset({"fusion", "fusion_weight"}),
    counts_unused=True,
)
