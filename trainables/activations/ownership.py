"""Which folders and files are a cache of ours: nothing else in them is ever listed or removed."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MARKER = "CACHEDIR.TAG"
"""The file that marks a cache, which backup programs know to leave out."""

MADE_BY = "multimodal-sentiment-search activations"
"""What the head of our data files says that they are."""

# Source: the Cache Directory Tagging Specification (bford.info/cachedir).
_TAG = (
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    f"# {MADE_BY}: frozen outputs of backbones, which a search computes anew where they lack.\n"
    "# python -m search.cache lists, checks and prunes them.\n"
)
_LONGEST_HEAD = 100_000


def mark(folder: Path) -> None:
    """Mark a folder as a cache of ours, if it can be written and nobody else has marked it.

    Args:
        folder: An existing folder.
    """
    with suppress(OSError), (folder / MARKER).open("x", encoding="utf-8") as file:
        file.write(_TAG)


def is_marked(folder: Path) -> bool:
    """Say whether a folder carries our marker.

    Args:
        folder: Any folder.

    Returns:
        Whether it does.
    """
    with suppress(OSError, UnicodeDecodeError):
        return (folder / MARKER).read_text(encoding="utf-8") == _TAG
    return False


def name_of(key: Mapping[str, Any]) -> str:
    """Name the files of a key.

    Args:
        key: The content of an `ActivationKey`.

    Returns:
        A name that differs when anything in the key does.
    """
    text = json.dumps(dict(key), sort_keys=True)
    return f"{key['role']}-{hashlib.blake2b(text.encode(), digest_size=12).hexdigest()}"


def is_our_header(path: Path) -> bool:
    """Say whether a header is ours: its name is that of the key in it.

    Args:
        path: A JSON file.

    Returns:
        Whether it is; False where it cannot be read.
    """
    with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        return bool(name_of(json.loads(path.read_text())["key"]) == path.stem)
    return False


def is_our_data(path: Path) -> bool:
    """Say whether a data file is ours: its head says so, also where it is unfinished.

    Args:
        path: A safetensors file, or the beginning of one.

    Returns:
        Whether it is; False where it cannot be read.
    """
    with (
        suppress(OSError, ValueError, KeyError, TypeError, RecursionError),
        path.open("rb") as file,
    ):
        length = int.from_bytes(file.read(8), "little")
        head = json.loads(file.read(length)) if length <= _LONGEST_HEAD else {}
        return bool(head["__metadata__"]["made_by"] == MADE_BY)
    return False
