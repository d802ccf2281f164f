"""CLIP: both towers of one checkpoint, fused in the space that they share."""

from __future__ import annotations

from trainables.config import InputSettings
from trainables.variants.joint import ClipFusionConfig, joint_variant

CLIP = joint_variant(
    "clip",
    ("clip", "openai/clip-vit-base-patch32"),
    ClipFusionConfig(
        head_learning_rate=5e-5,
        backbone_learning_rate=5e-5,
        schedule="plateau",
        batch_size=16,
        patience=4,
        label_smoothing=0.0,
        fusion="add",
        hidden_width=256,
        head_dropout=0.5,
        text_unfrozen_layers=2,
        image_unfrozen_layers=2,
    ),
    InputSettings(text_length=77, image_size=224),
)
