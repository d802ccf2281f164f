"""Where pretrained weights come from, checked before any work and without importing torch."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple

from trainables.modules.backbones.weight_files import file_fault

TINY = "tiny"
TORCHVISION_RESNETS = ("resnet18", "resnet34", "resnet50")
RESNET_SUFFIXES = (".pth", ".pt", ".safetensors")
RESNET_FILE = "resnet.safetensors"

_INDEX = ".index.json"
# In order of preference.
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
    """Pretrained weights cannot be loaded; the message says what is missing and how to fix it."""


class Place(NamedTuple):
    """Where a source of weights is.

    Attributes:
        name: A local folder or file, or a hub id.
        revision: Commit, branch or tag of a hub id; None for the default branch.
    """

    name: str
    revision: str | None = None


def local_path(source: str | Path) -> Path:
    """Return a user's path, with `~` expanded where the home folder is known."""
    path = Path(source)
    try:
        return path.expanduser()
    except RuntimeError:  # no such user
        return path


def is_local(source: str) -> bool:
    """Return whether a source exists as a path, or cannot be a hub id."""
    path = local_path(source)
    return path.exists() or not _HUB_ID.fullmatch(source) or path.suffix in RESNET_SUFFIXES


def place_of(source: str) -> Place:
    """Resolve a source: a path or a hub id, optionally pinned to a revision (`id@revision`)."""
    if is_local(source):
        return Place(str(local_path(source)))
    found = _HUB_ID.fullmatch(source)
    assert found is not None
    return Place(found["name"], found["revision"])


def check_source(role: str, source: str) -> list[str]:
    """Check a source of weights without loading it.

    Args:
        role: `text`, `image`, or the name of a checkpoint that holds both.
        source: A folder in the Hugging Face format, a ResNet weights file, a torchvision name
            (`resnet18`), a hub id, optionally with a revision (`id@revision`), or `tiny`.

    Returns:
        One sentence per fault; empty if none is found. For hub ids only the format is checked.
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
    """Return what a folder must contain, in words, and whether it does."""
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
    """Return the file of a folder that holds, or indexes, its weights; None if there is none."""
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
    """Return the files that an index lists."""
    listed = json.loads(index.read_bytes()).get("weight_map")
    names = sorted({*listed.values()}) if isinstance(listed, dict) else []
    return [index.parent / Path(str(name)).name for name in names]
