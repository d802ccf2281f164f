"""Optuna search spaces, one function per variant.

A space is a module-level function that imports no framework: the command line names its choices
from here, and answers at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spaces.blip import blip_space
from spaces.blip_enhanced import blip_enhanced_space
from spaces.clip import clip_space
from spaces.early_fusion import early_fusion_space
from spaces.late_fusion import late_fusion_space

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import optuna

SPACES: Mapping[str, Callable[[optuna.Trial], None]] = {
    "early_fusion": early_fusion_space,
    "late_fusion": late_fusion_space,
    "clip": clip_space,
    "blip": blip_space,
    "blip_enhanced": blip_enhanced_space,
}
