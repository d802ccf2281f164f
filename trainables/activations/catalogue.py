"""List, verify and remove the files of an activation cache, without importing torch."""

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
"""The state of an entry whose lock another process holds."""

_CHUNK = 1 << 24
_NAME = re.compile(r"((?:text|image|pair)-[0-9a-f]{24})\.(?:json|safetensors|\d+\.partial)")


@dataclass(frozen=True)
class CachedFile:
    """The cached activations of one key.

    Attributes:
        source: Where the backbone's weights came from.
        place: Where the backbone is cut.
        samples: Number of samples.
        size: Size on disk, in bytes.
        used: Last time a search opened it, in seconds since the epoch.
        state: What is wrong with it; empty if nothing is.
    """

    digest: str
    source: str
    place: str
    samples: int
    size: int
    used: float
    state: str


def catalogue(folder: Path, *, check: bool) -> list[CachedFile]:
    """List the cached activations in a folder, most recently used first.

    Args:
        folder: The cache; need not exist. Nothing is listed unless it carries our marker, and
            files that this program did not write are ignored.
        check: Whether to read every file and compare its checksum.

    Returns:
        The files.
    """
    if not is_marked(folder):
        return []
    digests = {name[1] for path in folder.iterdir() if (name := _NAME.fullmatch(path.name))}
    ours = {digest: parts for digest in digests if (parts := _parts(folder, digest))}
    files = [_entry(folder, digest, parts, check=check) for digest, parts in ours.items()]
    return sorted(files, key=lambda file: (-file.used, file.digest))


def _parts(folder: Path, digest: str) -> list[Path]:
    """Return a key's files except its lock; none unless one of them identifies itself as ours."""
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
    """Remove the files of one key, unless another process is rebuilding it.

    A search that has them mapped is not affected.

    Returns:
        Whether they were removed.
    """
    lock = lock_path(folder, file.digest)
    with locked_if_free(lock) as free:
        if not free:
            return False
        # The header first: without it, the other files are ignored.
        for path in _parts(folder, file.digest):
            path.unlink(missing_ok=True)
        lock.unlink(missing_ok=True)
    return True


def lock_path(folder: Path, digest: str) -> Path:
    """Return the path of a key's lock file."""
    return folder / f"{digest}.lock"


def mark_used(folder: Path, digest: str) -> None:
    """Record that a file was opened now; does nothing on a read-only cache."""
    with suppress(OSError):
        os.utime(header_path(folder, digest))


def data_path(folder: Path, digest: str) -> Path:
    """Return the path of a key's safetensors file."""
    return folder / f"{digest}.safetensors"


def header_path(folder: Path, digest: str) -> Path:
    """Return the path of a key's JSON header."""
    return folder / f"{digest}.json"


def fault(folder: Path, digest: str, *, check: bool = True) -> str | None:
    """Verify the files of a key, reading the values for their checksum only if `check`.

    Returns:
        Why they cannot be used, `missing` if they do not exist, None if they are valid.
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
    """Compute the CRC-32 of a file, as an unsigned 32-bit integer."""
    crc = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            crc = zlib.crc32(chunk, crc)
    return crc
