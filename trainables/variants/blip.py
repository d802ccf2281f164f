"""BLIP: both towers of one checkpoint, fused in the space that they share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainables.config import InputSettings
from trainables.hyperparameter import Choices, FloatRange, hyperparameter
from trainables.variants.joint import BlipFusionConfig, joint_variant

if TYPE_CHECKING:
    from trainables.config import Schedule
    from trainables.modules.heads.fusion import Fusion


@dataclass(frozen=True, kw_only=True)
class BlipConfig(BlipFusionConfig):
    """Hyperparameters of BLIP."""

    # From the lab's one rate for all, up to the rates of a head that starts random.
    head_learning_rate: float = hyperparameter(1.5e-5, FloatRange(1e-5, 5e-3, log=True))
    backbone_learning_rate: float = hyperparameter(1.5e-5, FloatRange(5e-6, 2e-4, log=True))
    weight_decay: float = 2e-4
    schedule: Schedule = "plateau"
    batch_size: int = 16
    label_smoothing: float = 0.0
    fusion: Fusion = hyperparameter("add", Choices("add", "concat", "cross"))
    hidden_width: int = 128


BLIP = joint_variant(
    "blip",
    ("blip", "Salesforce/blip-image-captioning-base"),
    BlipConfig,
    InputSettings(text_length=32, image_size=384),
)
