"""The weights of a model's backbones, and how its text and images are preprocessed."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import asdict, replace
from itertools import combinations
from pathlib import Path
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
    place_of,
)
from trainables.variants.towers import AND, sources_to_choose

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from search.config.settings import DataSettings
    from trainables.config import InputSettings, Modality
    from trainables.modules.backbones.preprocessor import Preprocessor
    from trainables.variants.variant import Variant

# Random weights see no detail, and a demonstration should be quick.
_TINY_IMAGE_SIZE = 64


def choose_backbones(
    variant: Variant[Any], modality: Modality, words: Sequence[str], *, demo: bool
) -> tuple[dict[str, str], list[str]]:
    """Choose where the weights of each backbone come from.

    Args:
        variant: What is tuned.
        modality: What is read of a pair; a backbone that is not read needs no weights.
        words: `ROLE=SOURCE` of the command line; a role may have several.
        demo: Whether the data are the demo data, whose default is tiny random weights.

    Returns:
        The sources by role, or by `ROLE/NAME` where a role has several, and one sentence per
        fault.
    """
    defaults = variant.backbones_for(modality)
    given: dict[str, list[str]] = {role: [] for role in defaults}
    faults = []
    for word in words:
        try:
            role, source = split_pair(word, "--backbone", "ROLE=SOURCE")
        except ValueError as error:
            faults.append(str(error))
            continue
        if role in variant.backbones and role not in given:
            unread = f"--backbone {role} is not read with --modality {modality}"
            faults.append(f"{unread}; leave it out")
            continue
        if role not in given:
            hint = nearest(role, given)
            faults.append(f"--backbone: {variant.name} has no role {role!r}; {hint}")
            continue
        local = local_path(source)
        given[role].append(str(local.absolute()) if local.exists() else source)
    pairs = [
        (role, source)
        for role, default in defaults.items()
        for source in dict.fromkeys(given[role] or [TINY if demo else default])
    ]
    for role, source in pairs:
        faults += check_source(role, source) or _preprocessor_faults(role, source)
    return named_sources(pairs), faults


def named_sources(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return sources by role, or by `ROLE/NAME` where a role has several, from pairs of both."""
    by_role: dict[str, list[str]] = {}
    for role, source in pairs:
        by_role.setdefault(role, []).append(source)
    return {
        f"{role}/{name}" if len(several) > 1 else role: source
        for role, several in by_role.items()
        for name, source in zip(names_of(several), several, strict=True)
    }


def names_of(sources: Sequence[str]) -> list[str]:
    """Name distinct sources after their folders, files or hub ids.

    Returns:
        The last part of each, with as many before it as tell it from the others; a name is also
        that of a folder, and has letters, digits, `.`, `_` and `-` alone.
    """
    parts = [[*filter(None, map(_plain, Path(place_of(s).name).parts))] for s in sources]
    names: list[str] = []
    for own in parts:
        like = [[other[-k:] for other in parts].count(own[-k:]) for k in range(1, len(own) + 1)]
        length = like.index(1) + 1 if 1 in like else 1
        name = "-".join(own[-length:]) or "source"
        names.append(name if name not in names else f"{name}-{len(names) + 1}")
    return names


def _plain(part: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "-", part).lstrip("_.-")


def choices_of(backbones: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Return the names of sources, and of each two, by the hyperparameter that chooses them."""
    return {
        chooser: (*names, *map(AND.join, combinations(names, 2)))
        for chooser, names in sources_to_choose(backbones).items()
    }


def _preprocessor_faults(role: str, source: str) -> list[str]:
    try:
        _preprocessor({role: source})
    except WeightsError as error:
        return str(error).splitlines()
    return []


def _preprocessor(backbones: Mapping[str, str]) -> Preprocessor | None:
    """Read the preprocessor of the image checkpoint."""
    for backbone, source in backbones.items():
        role = backbone.partition("/")[0]
        if role != "text" and source not in {TINY, *TORCHVISION_RESNETS}:
            return read_preprocessor(role, source)
    return None


def choose_inputs(
    variant: Variant[Any], asked: DataSettings, backbones: Mapping[str, str]
) -> InputSettings:
    """Choose how text and images are preprocessed; the values are not checked yet.

    Args:
        variant: What is tuned, which has defaults.
        asked: What the command line asks for; None for a default.
        backbones: Where the weights come from: random ones have defaults of their own.

    Returns:
        The settings.
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
