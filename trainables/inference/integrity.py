"""Digests of a model folder's files: what was damaged or swapped is named, never used."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from trainables.inference.about import CONFIG, DIGESTS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def digests_of(folder: Path, about: Mapping[str, Any]) -> dict[str, str]:
    """Compute what `config.json` says of the folder's files.

    Args:
        folder: A model folder.
        about: The content of its config.

    Returns:
        SHA-256 by file, relative to the folder: of all files, and of the config's own content but
        for the digests.
    """
    files = (path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix(): path for path in files}
    return {
        name: _digest_of_content(about) if name == CONFIG else _digest_of_file(path)
        for name, path in sorted({**names, CONFIG: folder / CONFIG}.items())
    }


def changed_files(folder: Path, about: Mapping[str, Any]) -> list[str]:
    """Say which files are not as they were written.

    Args:
        folder: A model folder.
        about: The content of its config; one without digests has nothing to be held against.

    Returns:
        One phrase per file that is missing or other than its digest says.
    """
    faults = []
    for name, digest in about.get(DIGESTS, {}).items():
        path = folder / name
        if not path.is_file():
            faults.append(f"{name} is missing")
        elif (_digest_of_content(about) if name == CONFIG else _digest_of_file(path)) != digest:
            faults.append(f"{name} is damaged or was changed")
    return faults


def _digest_of_content(about: Mapping[str, Any]) -> str:
    content = {name: value for name, value in about.items() if name != DIGESTS}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _digest_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
