"""Every way to classify a pair, by name; nothing here imports torch until a model is built."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainables.variants.blip import BLIP
from trainables.variants.blip_enhanced import BLIP_ENHANCED
from trainables.variants.clip import CLIP
from trainables.variants.early_fusion import EARLY_FUSION
from trainables.variants.late_fusion import LATE_FUSION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainables.variants.variant import Variant

VARIANTS: Mapping[str, Variant[Any]] = {
    variant.name: variant for variant in (EARLY_FUSION, LATE_FUSION, CLIP, BLIP, BLIP_ENHANCED)
}
