"""What a model is fed with: the weights of its backbones, and how text and images are prepared."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from search.study.overrides import split_pair
from search.study.tiny_space import is_tiny
from trainables.config import nearest
from trainables.modules.backbones.preprocessor import read_preprocessor
from trainables.modules.backbones.weights import (
    TINY,
    TORCHVISION_RESNETS,
    WeightsError,
    check_source,
    local_path,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from search.config.settings import DataSettings
    from trainables.config import InputSettings, Modality
    from trainables.modules.backbones.preprocessor import Preprocessor
    from trainables.variants.variant import Variant

# Random weights see no detail, and a demonstration should be quick.
_TINY_IMAGE_SIZE = 64


def choose_backbones(
    variant: Variant[Any], modality: Modality, words: Sequence[str], *, demo: bool
) -> tuple[dict[str, str], list[str]]:
    """Say where the weights of each backbone come from.

    Args:
        variant: What is tuned.
        modality: What is read of a pair; a backbone that is not read needs no weights.
        words: `NAME=SOURCE` of the command line.
        demo: Whether the data are the demo data, whose default is tiny random weights.

    Returns:
        The sources by name, and one sentence per fault.
    """
    defaults = variant.backbones_for(modality)
    sources = {role: TINY if demo else source for role, source in defaults.items()}
    faults = []
    for word in words:
        try:
            role, source = split_pair(word, "--backbone", "ROLE=SOURCE")
        except ValueError as error:
            faults.append(str(error))
            continue
        if role in variant.backbones and role not in sources:
            unread = f"--backbone {role} is not read with --modality {modality}"
            faults.append(f"{unread}; leave it out")
            continue
        if role not in sources:
            hint = nearest(role, sources)
            faults.append(f"--backbone: {variant.name} has no role {role!r}; {hint}")
            continue
        local = local_path(source)
        sources[role] = str(local.absolute()) if local.exists() else source
    for role, source in sources.items():
        faults += check_source(role, source) or _preprocessor_faults(role, source)
    return sources, faults


def _preprocessor_faults(role: str, source: str) -> list[str]:
    try:
        _preprocessor({role: source})
    except WeightsError as error:
        return str(error).splitlines()
    return []


def _preprocessor(backbones: Mapping[str, str]) -> Preprocessor | None:
    """Read what the checkpoint of the images says of their preparation."""
    for role, source in backbones.items():
        if role != "text" and source not in {TINY, *TORCHVISION_RESNETS}:
            return read_preprocessor(role, source)
    return None


def choose_inputs(
    variant: Variant[Any], asked: DataSettings, backbones: Mapping[str, str]
) -> InputSettings:
    """Say how text and images are prepared.

    Args:
        variant: What is tuned, which has defaults.
        asked: What the command line asks for; None for a default.
        backbones: Where the weights come from: random ones have defaults of their own.

    Returns:
        The settings; their values are not checked yet.
    """
    defaults = asdict(variant.inputs)
    if is_tiny(backbones):
        defaults["image_size"] = _TINY_IMAGE_SIZE
    elif asked.image_size is None:
        with suppress(WeightsError):  # a fault of the backbone by now
            found = _preprocessor(backbones)
            defaults["image_size"] = (found and found.side) or defaults["image_size"]
    values = {name: getattr(asked, name) for name in defaults}
    given = {name: value for name, value in values.items() if value is not None}
    return replace(variant.inputs, **{**defaults, **given})
