"""CLIP: both towers of one checkpoint, fused in the space that they share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainables.config import InputSettings
from trainables.hyperparameter import FloatRange, hyperparameter
from trainables.variants.joint import ClipFusionConfig, joint_variant

if TYPE_CHECKING:
    from trainables.config import Schedule


@dataclass(frozen=True, kw_only=True)
class ClipConfig(ClipFusionConfig):
    """Hyperparameters of CLIP."""

    # From the lab's one rate for all, up to the rates of a head that starts random.
    head_learning_rate: float = hyperparameter(5e-5, FloatRange(2e-5, 5e-3, log=True))
    backbone_learning_rate: float = hyperparameter(5e-5, FloatRange(5e-6, 2e-4, log=True))
    schedule: Schedule = "plateau"
    batch_size: int = 16
    label_smoothing: float = 0.0


CLIP = joint_variant(
    "clip",
    ("clip", "openai/clip-vit-base-patch32"),
    ClipConfig,
    InputSettings(text_length=77, image_size=224),
)
