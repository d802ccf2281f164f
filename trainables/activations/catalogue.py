"""What a cache folder holds, without torch: its files, whether they are whole, when last used."""

from __future__ import annotations

import json
import os
import zlib
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

_CHUNK = 1 << 24


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
    """List a cache.

    Args:
        folder: The cache; it need not exist.
        check: Whether every file is read and its checksum compared.

    Returns:
        The files, the last used first.
    """
    digests = {path.name.split(".")[0] for path in folder.glob("*-*.*") if path.is_file()}
    files = [_entry(folder, digest, check=check) for digest in digests]
    return sorted(files, key=lambda file: (-file.used, file.digest))


def _entry(folder: Path, digest: str, *, check: bool) -> CachedFile:
    parts = [path for path in folder.glob(f"{digest}.*") if path.suffix != ".lock"]
    size = sum(path.stat().st_size for path in parts)
    used = max((path.stat().st_mtime for path in parts), default=0.0)
    state = fault(folder, digest, check=check) or ""
    if state == "missing":
        state = "unfinished"
    header: dict[str, Any] = {}
    with suppress(OSError, ValueError):
        header = json.loads(header_path(folder, digest).read_text())
    place = header.get("key", {}).get("place", "?")
    samples = header.get("samples", 0)
    return CachedFile(digest, header.get("source", "?"), place, samples, size, used, state)


def remove(folder: Path, file: CachedFile) -> int:
    """Remove one key's files; a search that has them open goes on undisturbed.

    Args:
        folder: The cache.
        file: What to remove.

    Returns:
        The bytes that were freed.
    """
    # The header goes first: without it nothing else is trusted.
    header_path(folder, file.digest).unlink(missing_ok=True)
    for path in folder.glob(f"{file.digest}.*"):
        path.unlink(missing_ok=True)
    return file.size


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
