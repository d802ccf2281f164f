"""Recognise caches and cache files that this program wrote; others are never listed or removed."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MARKER = "CACHEDIR.TAG"
"""The file that marks a cache, which many backup programs then exclude."""

MADE_BY = "multimodal-sentiment-search activations"
"""The `made_by` metadata of our safetensors files."""

# Source: the Cache Directory Tagging Specification (bford.info/cachedir).
_TAG = (
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    f"# {MADE_BY}: frozen outputs of backbones, which a search computes anew where they lack.\n"
    "# python -m search.cache lists, checks and prunes them.\n"
)
_LONGEST_HEAD = 100_000


def mark(folder: Path) -> None:
    """Write our marker into an existing folder, unless it has one or cannot be written to."""
    with suppress(OSError), (folder / MARKER).open("x", encoding="utf-8") as file:
        file.write(_TAG)


def is_marked(folder: Path) -> bool:
    """Return whether a folder contains our marker."""
    with suppress(OSError, UnicodeDecodeError):
        return (folder / MARKER).read_text(encoding="utf-8") == _TAG
    return False


def key_digest(key: Mapping[str, Any]) -> str:
    """Return the file name of an `ActivationKey`, given as a dict; differs when any field does."""
    text = json.dumps(dict(key), sort_keys=True)
    return f"{key['role']}-{hashlib.blake2b(text.encode(), digest_size=12).hexdigest()}"


def is_our_header(path: Path) -> bool:
    """Return whether a JSON header is ours: its name is the digest of the key in it."""
    with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        return bool(key_digest(json.loads(path.read_text())["key"]) == path.stem)
    return False


def is_our_data(path: Path) -> bool:
    """Return whether a safetensors file, complete or not, is ours: its metadata says so."""
    with (
        suppress(OSError, ValueError, KeyError, TypeError, RecursionError),
        path.open("rb") as file,
    ):
        length = int.from_bytes(file.read(8), "little")
        head = json.loads(file.read(length)) if length <= _LONGEST_HEAD else {}
        return bool(head["__metadata__"]["made_by"] == MADE_BY)
    return False
