"""CLIP: both towers of one checkpoint, fused in the space that they share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainables.config import InputSettings
from trainables.variants.joint import JointConfig, build_joint, cut_joint
from trainables.variants.variant import Variant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainables.modules.tower import Tower


def load_clip(backbones: Mapping[str, str]) -> dict[str, Tower]:
    """Load the two towers.

    Args:
        backbones: The weights of `clip`.

    Returns:
        The towers, by role.
    """
    from trainables.modules.clip import load_clip_towers  # noqa: PLC0415 - keeps torch out

    return load_clip_towers(backbones["clip"])


CLIP = Variant(
    name="clip",
    config=JointConfig,
    backbones={"clip": "openai/clip-vit-base-patch32"},
    hand_tuned=JointConfig(
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
    load=load_clip,
    cuts=cut_joint,
    build=build_joint,
    inputs=InputSettings(text_length=77, image_size=224),
)
