"""What a cache folder holds, without torch: its files, whether they are whole, when last used."""

from __future__ import annotations

import json
import os
import re
import zlib
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trainables.activations.locks import locked_if_free
from trainables.activations.ownership import is_marked, is_our_data, is_our_header

if TYPE_CHECKING:
    from pathlib import Path

BEING_BUILT = "being built"
"""The state of a file that another process is at work on."""

_CHUNK = 1 << 24
_NAME = re.compile(r"((?:text|image|pair)-[0-9a-f]{24})\.(?:json|safetensors|\d+\.partial)")


@dataclass(frozen=True)
class CachedFile:
    """One key's activations.

    Attributes:
        digest: The key's digest.
        source: Where the backbone's weights came from.
        place: Where it is cut.
        samples: How many samples it holds.
        size: Bytes on the disk.
        used: When a search last opened it, in seconds since 1970.
        state: What is wrong with it; empty where nothing is.
    """

    digest: str
    source: str
    place: str
    samples: int
    size: int
    used: float
    state: str


def catalogue(folder: Path, *, check: bool) -> list[CachedFile]:
    """List a cache: only what is ours, in a folder that is.

    Args:
        folder: The cache; it need not exist.
        check: Whether every file is read and its checksum compared.

    Returns:
        The files, the last used first.
    """
    if not is_marked(folder):
        return []
    digests = {name[1] for path in folder.iterdir() if (name := _NAME.fullmatch(path.name))}
    ours = {digest: parts for digest in digests if (parts := _parts(folder, digest))}
    files = [_entry(folder, digest, parts, check=check) for digest, parts in ours.items()]
    return sorted(files, key=lambda file: (-file.used, file.digest))


def _parts(folder: Path, digest: str) -> list[Path]:
    """The files of a key, but for its lock; none where none of them says that it is ours."""
    header, data = header_path(folder, digest), data_path(folder, digest)
    partial = [path for path in folder.glob(f"{digest}.*.partial") if is_our_data(path)]
    whole = [header, data] if is_our_header(header) or is_our_data(data) else []
    return [path for path in (*whole, *partial) if path.is_file()]


def _entry(folder: Path, digest: str, parts: list[Path], *, check: bool) -> CachedFile:
    size = sum(path.stat().st_size for path in parts)
    used = max((path.stat().st_mtime for path in parts), default=0.0)
    with locked_if_free(lock_path(folder, digest)) as free:
        state = fault(folder, digest, check=check) or "" if free else BEING_BUILT
    if state == "missing":
        state = "unfinished"
    header: dict[str, Any] = {}
    if is_our_header(header_path(folder, digest)):
        header = json.loads(header_path(folder, digest).read_text())
    place = header.get("key", {}).get("place", "?")
    samples = header.get("samples", 0)
    return CachedFile(digest, header.get("source", "?"), place, samples, size, used, state)


def remove(folder: Path, file: CachedFile) -> bool:
    """Remove one key's files; a search that has them open goes on undisturbed.

    Args:
        folder: The cache.
        file: What to remove.

    Returns:
        Whether it is gone: not where it is being built again by now.
    """
    lock = lock_path(folder, file.digest)
    with locked_if_free(lock) as free:
        if not free:
            return False
        # The header goes first: without it nothing else is trusted.
        for path in _parts(folder, file.digest):
            path.unlink(missing_ok=True)
        lock.unlink(missing_ok=True)
    return True


def lock_path(folder: Path, digest: str) -> Path:
    """Where a key's lock lies.

    Args:
        folder: The cache.
        digest: The key's digest.

    Returns:
        The path of an empty file.
    """
    return folder / f"{digest}.lock"


def mark_used(folder: Path, digest: str) -> None:
    """Note that a file was opened now; on a read-only cache nothing is noted.

    Args:
        folder: The cache.
        digest: The key's digest.
    """
    with suppress(OSError):
        os.utime(header_path(folder, digest))


def data_path(folder: Path, digest: str) -> Path:
    """Where a key's values lie.

    Args:
        folder: The cache.
        digest: The key's digest.

    Returns:
        The path of the safetensors file.
    """
    return folder / f"{digest}.safetensors"


def header_path(folder: Path, digest: str) -> Path:
    """Where a key's header lies.

    Args:
        folder: The cache.
        digest: The key's digest.

    Returns:
        The path of the JSON file.
    """
    return folder / f"{digest}.json"


def fault(folder: Path, digest: str, *, check: bool = True) -> str | None:
    """Find what is wrong with a file.

    Args:
        folder: The cache.
        digest: The key's digest.
        check: Whether the values are read and their checksum compared.

    Returns:
        Why it cannot be trusted, `missing` if it is not there, None if it is whole.
    """
    path = data_path(folder, digest)
    try:
        header: dict[str, Any] = json.loads(header_path(folder, digest).read_text())
        if path.stat().st_size != header["size"]:
            return f"{path.name} must have {header['size']} bytes, got {path.stat().st_size}"
        if check and checksum(path) != header["checksum"]:
            return f"{path.name} is damaged: its checksum differs from its header's"
    except FileNotFoundError:
        return "missing"
    except (ValueError, KeyError, TypeError):
        return f"{header_path(folder, digest).name} is damaged"
    return None


def checksum(path: Path) -> int:
    """Compute the CRC-32 of a file, which any flipped byte changes.

    Args:
        path: The file.

    Returns:
        An unsigned 32-bit integer.
    """
    crc = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            crc = zlib.crc32(chunk, crc)
    return crc
