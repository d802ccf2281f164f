"""Where pretrained weights come from, checked before any work: torch is not imported here."""

from __future__ import annotations

import re
from pathlib import Path

TINY = "tiny"
TORCHVISION_RESNETS = ("resnet18", "resnet34")
RESNET_SUFFIXES = (".pth", ".pt", ".safetensors")

_WEIGHT_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
_TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "tokenizer_config.json")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")


class WeightsError(ValueError):
    """Pretrained weights cannot be had; the message says what is missing and what helps."""


def is_local(source: str) -> bool:
    """Say whether a source names a place on this machine rather than on the hub.

    Args:
        source: What the user gave.

    Returns:
        True if something is there, or if it can only be meant as a path.
    """
    path = Path(source).expanduser()
    return path.exists() or not _HUB_ID.fullmatch(source) or path.suffix in RESNET_SUFFIXES


def check_source(role: str, source: str) -> list[str]:
    """Find what is wrong with a source of weights without loading it.

    Args:
        role: `text`, `image`, or the name of a checkpoint that holds both.
        source: A folder in the Hugging Face format, a ResNet weights file, a torchvision name
            (`resnet18`), a hub id or `tiny`.

    Returns:
        One sentence per fault; empty when none shows. Hub ids are checked for form only.
    """
    if source == TINY or (role == "image" and source in TORCHVISION_RESNETS):
        return []
    if not source.strip():
        return [f"backbone {role} must be a folder, a file, a hub id or 'tiny', got ''"]
    if not is_local(source):
        return []
    path = Path(source).expanduser()
    if path.is_file():
        if role == "image" and path.suffix in RESNET_SUFFIXES:
            return []
        return [
            f"backbone {role} must be a folder"
            + (f" or a ResNet file ({', '.join(RESNET_SUFFIXES)})" if role == "image" else "")
            + f", got the file {source}"
        ]
    wanted = _wanted_files(role, path)
    if not path.is_dir():
        return [f"backbone {role} must be a folder with {'; '.join(wanted)}: no folder {source}"]
    if missing := [want for want, found in wanted.items() if not found]:
        return [f"backbone {role}: the folder {source} lacks {'; '.join(missing)}"]
    return []


def _wanted_files(role: str, folder: Path) -> dict[str, bool]:
    """What a folder must hold, in words, and whether it does."""
    if role == "image" and (folder / "resnet.safetensors").is_file():
        return {}
    wanted = {
        "config.json": (folder / "config.json").is_file(),
        "weights (model.safetensors or pytorch_model.bin)": any(
            (folder / name).is_file() for name in _WEIGHT_FILES
        ),
    }
    if role != "image":
        wanted["a tokenizer (tokenizer.json or vocab.txt)"] = any(
            (folder / name).is_file() for name in _TOKENIZER_FILES
        )
    return wanted
