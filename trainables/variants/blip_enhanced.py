"""BLIP with all remedies for few samples of unequal classes, cross-validated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainables.config import InputSettings
from trainables.hyperparameter import Choices, FloatRange, hyperparameter
from trainables.variants.joint import BlipFusionConfig, joint_variant

if TYPE_CHECKING:
    from trainables.config import Sampling, Schedule


@dataclass(frozen=True, kw_only=True)
class BlipEnhancedConfig(BlipFusionConfig):
    """Hyperparameters of BLIP with remedies for unequal classes."""

    # From the lab's one rate for all, up to the rates of a head that starts random.
    head_learning_rate: float = hyperparameter(1.2e-5, FloatRange(1e-5, 5e-3, log=True))
    backbone_learning_rate: float = hyperparameter(1.2e-5, FloatRange(5e-6, 2e-4, log=True))
    weight_decay: float = 5e-4
    schedule: Schedule = "plateau"
    batch_size: int = 16
    class_weight_smoothing: float = 1.0
    # The lab decides on neutral where both poles are under 0.05: never, as 0.3 does.
    neutral_threshold: float = 0.3
    normalize: bool = True
    head_dropout: float = 0.4
    block_dropout: float = 0.4
    sampling: Sampling = hyperparameter("none", Choices("none", "weighted", "undersample"))
    # Steps rather than ranges: 0, which is none, must be one of them.
    logit_adjustment: float = hyperparameter(0.0, Choices(0.0, 0.5, 1.0))
    focal_gamma: float = hyperparameter(0.0, Choices(0.0, 1.0, 2.0))


BLIP_ENHANCED = joint_variant(
    "blip_enhanced",
    ("blip", "Salesforce/blip-image-captioning-base"),
    BlipEnhancedConfig,
    InputSettings(text_length=32, image_size=384),
    folds=5,
)
