"""BLIP: both towers of one checkpoint, fused in the space that they share."""

from __future__ import annotations

from trainables.config import InputSettings
from trainables.variants.joint import BlipFusionConfig, joint_variant

BLIP = joint_variant(
    "blip",
    ("blip", "Salesforce/blip-image-captioning-base"),
    BlipFusionConfig(
        head_learning_rate=1.5e-5,
        backbone_learning_rate=1.5e-5,
        weight_decay=2e-4,
        schedule="plateau",
        batch_size=16,
        patience=4,
        label_smoothing=0.0,
        fusion="add",
        hidden_width=128,
        head_dropout=0.5,
        text_unfrozen_layers=2,
        image_unfrozen_layers=2,
    ),
    InputSettings(text_length=32, image_size=384),
)
