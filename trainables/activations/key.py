"""What a cached activation depends on: equal keys imply equal activations."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING

from PIL import features

from trainables.activations.ownership import key_digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainables.config import InputSettings, Role
    from trainables.data.sample import Sample
    from trainables.modules.blocks.cut import Cut

# Increment when the same settings would produce different pixels, tokens or bytes.
FORMAT = 3

_SETTINGS = {
    "text": ("text_cleaning", "text_length"),
    "image": ("image_preparation", "image_size", "blur_radius"),
}
_SETTINGS["pair"] = _SETTINGS["text"] + _SETTINGS["image"]
_LIBRARIES = {
    "text": ("numpy", "tokenizers", "torch", "transformers"),
    "image": ("numpy", "pillow", "torch", "torchvision", "transformers"),
}
_LIBRARIES["pair"] = (*{*_LIBRARIES["text"], *_LIBRARIES["image"]},)


@dataclass(frozen=True)
class ActivationKey:
    """Everything that a prefix's output depends on.

    Attributes:
        role: `text`, `image`, or `pair` for text with cross-attention to its image.
        tower: Fingerprint of the backbone: weights, config, tokenizer, preprocessor; and the
            precision of its pass unless that is float32.
        place: Where the backbone is cut.
        inputs: The preprocessing settings of this role.
        samples: Digest of the samples' contents, in order.
        libraries: Versions of the libraries that make pixels or tokens and compute on them.
        format: Version of our own preprocessing and file layout.
    """

    role: Role
    tower: str
    place: str
    inputs: dict[str, str | int | float]
    samples: str
    dtype: str
    libraries: dict[str, str]
    format: int = FORMAT

    @cached_property
    def digest(self) -> str:
        """The file name, which differs when any field does."""
        return key_digest(asdict(self))


def make_key(
    role: Role,
    tower: str,
    cut: Cut,
    samples: Sequence[Sample],
    inputs: InputSettings,
    dtype: str,
) -> ActivationKey:
    """Make the key of some samples' activations; row i is sample i.

    It does not depend on guids, labels or the other role's inputs.

    Returns:
        The key.
    """
    contents = hashlib.blake2b(digest_size=16)
    for sample in samples:
        if role != "image":
            contents.update(sample.text.encode() + b"\0")
        if role != "text":
            contents.update(sample.image_digest.encode() + b"\0")
    return ActivationKey(
        role=role,
        tower=tower,
        place=cut.place,
        inputs={name: getattr(inputs, name) for name in _SETTINGS[role]},
        samples=contents.hexdigest(),
        dtype=dtype,
        libraries=_versions(role),
    )


_installed = cache(version)  # which reads and parses a library's metadata each time


def _versions(role: Role) -> dict[str, str]:
    versions = {name: _installed(name) for name in _LIBRARIES[role]}
    if role != "text":  # the same Pillow version may be built on different JPEG libraries
        versions["libjpeg"] = str(features.version("libjpeg_turbo") or features.version("jpg"))
    return versions
