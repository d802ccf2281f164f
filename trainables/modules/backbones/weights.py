"""Where pretrained weights come from, checked before any work: torch is not imported here."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple

from trainables.modules.backbones.weight_files import file_fault

TINY = "tiny"
TORCHVISION_RESNETS = ("resnet18", "resnet34")
RESNET_SUFFIXES = (".pth", ".pt", ".safetensors")
RESNET_FILE = "resnet.safetensors"

_INDEX = ".index.json"
# In the order in which they are looked for.
_WEIGHT_FILES = (
    "model.safetensors",
    f"model.safetensors{_INDEX}",
    "pytorch_model.bin",
    f"pytorch_model.bin{_INDEX}",
)
_TOKENIZER_FILES = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "spiece.model",
    "spm.model",
    "sentencepiece.bpe.model",
    "tokenizer_config.json",
)
_SIDE_FILES = ("config.json", "preprocessor_config.json", "special_tokens_map.json")
_HUB_ID = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*(/[\w.-]+)?)(@(?P<revision>[\w./-]+))?")


class WeightsError(ValueError):
    """Pretrained weights cannot be had; the message says what is missing and what helps."""


class Place(NamedTuple):
    """Where a source of weights is.

    Attributes:
        name: A folder or file of this machine, or a hub id.
        revision: Which commit, branch or tag of a hub id; None for the latest of it.
    """

    name: str
    revision: str | None = None


def local_path(source: str | Path) -> Path:
    """Spell what a user gave as a path.

    Args:
        source: A path, which may begin at a home folder.

    Returns:
        The path, of a home folder where one is meant and known.
    """
    path = Path(source)
    try:
        return path.expanduser()
    except RuntimeError:  # the home of someone who is not known here
        return path


def is_local(source: str) -> bool:
    """Say whether a source names a place on this machine rather than on the hub.

    Args:
        source: What the user gave.

    Returns:
        True if something is there, or if it can only be meant as a path.
    """
    path = local_path(source)
    return path.exists() or not _HUB_ID.fullmatch(source) or path.suffix in RESNET_SUFFIXES


def place_of(source: str) -> Place:
    """Say where a source is.

    Args:
        source: What the user gave: a path, a hub id, or a hub id and what it is pinned to
            (`id@revision`).

    Returns:
        The place.
    """
    if is_local(source):
        return Place(str(local_path(source)))
    found = _HUB_ID.fullmatch(source)
    assert found is not None
    return Place(found["name"], found["revision"])


def check_source(role: str, source: str) -> list[str]:
    """Find what is wrong with a source of weights without loading it.

    Args:
        role: `text`, `image`, or the name of a checkpoint that holds both.
        source: A folder in the Hugging Face format, a ResNet weights file, a torchvision name
            (`resnet18`), a hub id, maybe with a revision (`id@revision`), or `tiny`.

    Returns:
        One sentence per fault; empty when none shows. Hub ids are checked for form only.
    """
    if source == TINY or (role == "image" and source in TORCHVISION_RESNETS):
        return []
    if not source.strip():
        return [f"backbone {role} must be a folder, a file, a hub id or 'tiny', got ''"]
    if not is_local(source):
        return []
    path = local_path(source)
    if path.is_file():
        return _file_faults(role, path, source)
    wanted = _wanted_files(role, path)
    if not path.is_dir():
        return [f"backbone {role} must be a folder with {'; '.join(wanted)}: no folder {source}"]
    if missing := [want for want, found in wanted.items() if not found]:
        return [f"backbone {role}: the folder {source} lacks {'; '.join(missing)}"]
    return [f"backbone {role}: {fault}" for fault in _folder_faults(role, path)]


def _file_faults(role: str, path: Path, source: str) -> list[str]:
    if role == "image" and path.suffix in RESNET_SUFFIXES:
        fault = file_fault(path)
        return [f"backbone {role}: {fault}"] if fault else []
    return [
        f"backbone {role} must be a folder"
        + (f" or a ResNet file ({', '.join(RESNET_SUFFIXES)})" if role == "image" else "")
        + f", got the file {source}"
    ]


def _wanted_files(role: str, folder: Path) -> dict[str, bool]:
    """What a folder must hold, in words, and whether it does."""
    if role == "image" and (folder / RESNET_FILE).is_file():
        return {}
    wanted = {
        "config.json": (folder / "config.json").is_file(),
        "weights (model.safetensors or pytorch_model.bin)": weights_file(folder) is not None,
    }
    if role != "image":
        wanted["a tokenizer (tokenizer.json or vocab.txt)"] = any(
            (folder / name).is_file() for name in _TOKENIZER_FILES
        )
    return wanted


def weights_file(folder: Path) -> Path | None:
    """Say which file of a folder holds its weights, or lists those that do.

    Args:
        folder: A folder in the Hugging Face format.

    Returns:
        The one that is read; None if there is none.
    """
    found = (folder / name for name in _WEIGHT_FILES)
    return next((path for path in found if path.is_file()), None)


def _folder_faults(role: str, folder: Path) -> list[str]:
    if role == "image" and (folder / RESNET_FILE).is_file():
        paths = [folder / RESNET_FILE]
    else:
        names = (*_SIDE_FILES, *(_TOKENIZER_FILES if role != "image" else ()))
        paths = [folder / name for name in names if (folder / name).exists()]
    weights = weights_file(folder)
    if weights is not None:
        paths.append(weights)
    faults = [fault for path in paths if (fault := file_fault(path))]
    if weights is not None and weights.name.endswith(_INDEX) and not faults:
        faults = [fault for path in _shards(weights) if (fault := file_fault(path))]
    return faults


def _shards(index: Path) -> list[Path]:
    """The files that an index lists."""
    listed = json.loads(index.read_bytes()).get("weight_map")
    names = sorted({*listed.values()}) if isinstance(listed, dict) else []
    return [index.parent / Path(str(name)).name for name in names]
