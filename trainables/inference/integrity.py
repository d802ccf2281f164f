"""Digests of a model folder's files, so that damaged or replaced files are never used."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from trainables.inference.about import CONFIG, DIGESTS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def model_digests(folder: Path, about: Mapping[str, Any]) -> dict[str, str]:
    """Compute the digests of a model folder's files, given the content of its config.

    Returns:
        SHA-256 by file name relative to the folder; for the config, that of its content without
        the digests.
    """
    files = (path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix(): path for path in files}
    return {
        name: _digest_of_content(about) if name == CONFIG else _digest_of_file(path)
        for name, path in sorted({**names, CONFIG: folder / CONFIG}.items())
    }


def changed_files(folder: Path, about: Mapping[str, Any]) -> list[str]:
    """List the files of a model folder that are missing or differ from its config's digests."""
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
