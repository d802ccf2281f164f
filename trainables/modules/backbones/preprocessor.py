"""Read and check a checkpoint's preprocessor config, without torch.

Its channel statistics and, by default, its image size are used. How images are cropped is a
setting of the search; a note says where it differs from the checkpoint's pretraining.
"""

from __future__ import annotations

import json
import math
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainables.modules.backbones.weights import WeightsError, is_local, local_path, place_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trainables.config import ImagePreparation, InputSettings

PREPROCESSOR = "preprocessor_config.json"
_PROCESSOR = "processor_config.json"  # newer format, which contains that of images
_CONFIG = "config.json"  # timm's holds it

Colours = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation of each colour channel, of pixels in [0, 1]."""

_CHANNELS = 3
_UNCROPPED = 384  # larger images are not cropped by those that have a `crop_pct`
_SWITCHES = ("do_resize", "do_center_crop", "do_rescale", "do_normalize")
_FILTERS = {"0": "nearest", "1": "Lanczos", "2": "bilinear", "3": "bicubic"}
# Each preparation: its description, the fraction of the shorter side that it keeps, and its
# resampling filters (Lanczos and bicubic hardly differ).
_OURS: Mapping[ImagePreparation, tuple[str, float | None, tuple[int, ...]]] = {
    "basic": ("fitted into a white square", None, (1, 3)),
    "improved": ("cut to their centre square", 1.0, (1, 3)),
    "imagenet": ("cut to 7/8 of their centre square", 224 / 256, (2,)),
}


@dataclass(frozen=True)
class Preprocessor:
    """The checked settings of a checkpoint's preprocessor; defaults are its model family's."""

    settings: Mapping[str, Any]

    def colours(self, default: Colours) -> Colours:
        """Compute how to standardise pixels in [0, 1], whatever input range the checkpoint uses.

        Returns:
            The mean to subtract and the standard deviation to divide by, per channel.
        """
        mean, std = default
        mean = _triple(self.settings.get("image_mean", mean))
        std = _triple(self.settings.get("image_std", std))
        if not self.settings.get("do_normalize", True):
            mean, std = (0.0,) * _CHANNELS, (1.0,) * _CHANNELS
        factor = self.settings.get("rescale_factor", 1 / 255)
        reach = 255 * factor if self.settings.get("do_rescale", True) else 255.0
        if math.isclose(reach, 1):
            return mean, std
        return tuple(m / reach for m in mean), tuple(s / reach for s in std)

    @property
    def side(self) -> int | None:
        """The checkpoint's image size in pixels; None if not stated or not square."""
        height, width = self._crop or self._size or (0, 0)
        return height if height == width and height else None

    @property
    def _size(self) -> tuple[int, int] | None:
        size = self.settings.get("size") if self.settings.get("do_resize", True) else None
        return None if size is None else _sides(size)

    @property
    def _crop(self) -> tuple[int, int] | None:
        crop = self.settings.get("crop_size")
        return _sides(crop) if crop and self.settings.get("do_center_crop", True) else None

    @property
    def _kept(self) -> float | None:
        """The fraction of the shorter side that is kept; None if images are squeezed."""
        size, crop = self.settings.get("size"), self._crop
        if isinstance(size, dict) and "shortest_edge" not in size:
            return None
        return crop[0] / _sides(size)[0] if size and crop else None

    def difference(self, inputs: InputSettings) -> str:
        """Describe how our preprocessing differs from that of the checkpoint's pretraining.

        Returns:
            The difference in words; empty if there is none, or the file does not say enough.
        """
        wanted = self._crop or self._size
        if wanted is None:
            return ""
        words, kept, filters = _OURS[inputs.image_preparation]
        resample = self.settings.get("resample")
        alike = kept is not None and self._kept is not None and math.isclose(kept, self._kept)
        same_filter = resample is None or resample in filters
        if alike and same_filter and wanted == (inputs.image_size, inputs.image_size):
            return ""
        height, width = self._size or wanted
        how = f"squeezed to {height} x {width} pixels"
        if self._kept is not None:
            how = f"scaled to {height} pixels and cut to the {wanted[0]} in their centre"
        how += f" ({_FILTERS.get(str(resample), resample)})" * (resample is not None)
        return f"was trained on images {how}; here they are {words} of {inputs.image_size} pixels"


def read_preprocessor(role: str, source: str) -> Preprocessor | None:
    """Read and check the preprocessor config of a checkpoint.

    Returns:
        The preprocessor; None if there is none or it cannot be fetched.

    Raises:
        WeightsError: If it is damaged or has invalid settings; one line per fault.
    """
    for name in (_PROCESSOR, PREPROCESSOR, _CONFIG):
        path = local_path(source) / name if is_local(source) else _from_hub(source, name)
        if path is None or not path.is_file():
            continue
        settings = _read(role, path)
        if name == _PROCESSOR:
            settings = settings.get("image_processor")
        if name == _CONFIG:
            settings = _of_timm(settings.get("pretrained_cfg"))
        if not isinstance(settings, dict):
            continue
        if faults := [f"backbone {role}: {path}: {fault}" for fault in _faults(settings)]:
            raise WeightsError("\n".join(faults))
        return Preprocessor(_cropped(settings))
    return None


def _of_timm(settings: Any) -> dict[str, Any] | None:
    """Translate what a checkpoint of timm says of its images; None if it says nothing."""
    if not isinstance(settings, dict) or not isinstance(settings.get("mean"), list):
        return None
    *_, side = settings.get("input_size") or (None,)
    filters: dict[Any, int] = {"bilinear": 2, "bicubic": 3}
    translated = {
        "image_mean": settings["mean"],
        "image_std": settings.get("std"),
        "size": {"shortest_edge": side},
        "crop_pct": settings.get("crop_pct"),
        "resample": filters.get(settings.get("interpolation")),
    }
    return {name: value for name, value in translated.items() if value is not None}


def _cropped(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Spell out what `crop_pct` means: which part of a scaled image is cut out."""
    share: Any = settings.get("crop_pct")
    size: Any = settings.get("size")
    if not _is_number(share) or not isinstance(size, dict) or "crop_size" in settings:
        return settings
    side = size.get("shortest_edge")
    if not side or side >= _UNCROPPED or not 0 < share < 1:
        return settings
    return {**settings, "size": {"shortest_edge": int(side / share)}, "crop_size": side}


@cache
def _from_hub(source: str, name: str) -> Path | None:
    from huggingface_hub import hf_hub_download  # noqa: PLC0415 - slow, and not for a folder

    with suppress(Exception):  # of many types; if the hub is unreachable, the weights fail too
        place = place_of(source)
        return Path(hf_hub_download(place.name, name, revision=place.revision))
    return None


def _read(role: str, path: Path) -> Any:
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        msg = f"backbone {role}: {path} cannot be read: {error}"
        raise WeightsError(msg) from error
    if not isinstance(settings, dict):
        msg = f"backbone {role}: {path} must hold a JSON object, got {type(settings).__name__}"
        raise WeightsError(msg)
    return settings


def _faults(settings: Mapping[str, Any]) -> Iterator[str]:
    for name in _SWITCHES:
        if not isinstance(settings.get(name, True), bool):
            yield f"{name} must be true or false, got {settings[name]!r}"
    factor = settings.get("rescale_factor", 1 / 255)
    if not _is_number(factor) or factor <= 0:
        yield f"rescale_factor must be a number > 0, got {factor!r}"
    if settings.get("do_normalize", True):
        yield from _colour_faults(settings)
    for name in ("size", "crop_size"):
        if settings.get(name) is not None and not _is_size(settings[name]):
            yield f"{name} must be in whole pixels, got {settings[name]!r}"


def _colour_faults(settings: Mapping[str, Any]) -> Iterator[str]:
    for name, least in (("image_mean", -math.inf), ("image_std", 0.0)):
        values = settings.get(name, 0.5)
        values = values if isinstance(values, list) else [values] * _CHANNELS
        if len(values) != _CHANNELS or not all(_is_number(v) and v > least for v in values):
            rule = "three numbers" + " > 0" * (least == 0)
            yield f"{name} must be {rule}, got {settings[name]!r}"


def _is_number(value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value)  # type: ignore[arg-type] # checked above


def _is_size(size: object) -> bool:
    sides = size.values() if isinstance(size, dict) else [size]
    whole = [side for side in sides if isinstance(side, int) and not isinstance(side, bool)]
    named = not isinstance(size, dict) or {"height", "width"} <= {*size} or "shortest_edge" in size
    return named and len(whole) == len(sides) and all(side > 0 for side in whole)


def _sides(size: Any) -> tuple[int, int]:
    if isinstance(size, int):
        return size, size
    if "shortest_edge" in size:
        return size["shortest_edge"], size["shortest_edge"]
    return size["height"], size["width"]


def _triple(values: Any) -> tuple[float, ...]:
    return tuple(values) if isinstance(values, list | tuple) else (values,) * _CHANNELS
