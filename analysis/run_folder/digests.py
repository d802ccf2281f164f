"""Digests of the files of a run folder as they were written, so that damage shows.

`digests.csv` has a line for every write: the file's path in the folder, its size in bytes and its
SHA-256. The line is written before the file, so that a kill between the two leaves a file that
the line before it still matches. A file without a line, as in folders of earlier versions, is
not checked; nor is any once `digests.csv` is deleted.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

NAME = "digests.csv"
GROWING = frozenset({"history.csv", "study.journal"})
"""Files that grow by lines: what they held when they were noted is how they begin."""

_HEADER = "file,bytes,sha256\n"
_LINE = re.compile(r"([^,\n]+),(\d{1,15}),([0-9a-f]{64})")


class Digest(NamedTuple):
    """The size of a file in bytes, and its SHA-256 in hexadecimal."""

    size: int
    sha256: str


def keep_digests(folder: Path) -> None:
    """Start `digests.csv` in a run folder that has none; the folder is made when missing."""
    if not (folder / NAME).exists():
        _append(folder, _HEADER)


def note(path: Path, content: bytes) -> None:
    """Note what a file is about to hold, if its folder keeps digests.

    Args:
        path: The file.
        content: Its content; of a file that grows, all so far.
    """
    if folder := _keeper(path):
        _append(folder, _line(path.relative_to(folder).as_posix(), _digest(content)))


def fault_of(path: Path, content: bytes) -> str:
    """Return what a file's content should be; empty if it is that, or nothing was noted."""
    folder = _keeper(path)
    noted = digests_of(folder).get(path.relative_to(folder).as_posix(), ()) if folder else ()
    if not noted or any(_vouches(path, digest, content) for digest in noted):
        return ""
    size = noted[-1].size
    if len(content) < size:
        return f"must have the {size:,} bytes that were written, got {len(content):,}"
    return f"must hold what was written, by {NAME}, got something else"


def is_noted(path: Path) -> bool:
    """Return whether a file was written here, so that it is lost where it is missing."""
    folder = _keeper(path)
    return folder is not None and path.relative_to(folder).as_posix() in digests_of(folder)


def lost_files(folder: Path) -> list[Path]:
    """List the files that were written and are gone, by name."""
    return [folder / name for name in sorted(digests_of(folder)) if not (folder / name).exists()]


def digests_of(folder: Path) -> Mapping[str, tuple[Digest, ...]]:
    """Read the last two digests of every file, as a kill may have left the older content."""
    path = folder / NAME
    try:
        found = path.stat()
        return _read(path, found.st_mtime_ns, found.st_size) if path.is_file() else {}
    except OSError:
        return {}


@lru_cache(maxsize=64)
def _read(path: Path, _: int, __: int) -> Mapping[str, tuple[Digest, ...]]:
    noted: dict[str, tuple[Digest, ...]] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if match := _LINE.fullmatch(line):  # a torn line is none
            name, size, sha256 = match.groups()
            noted[name] = (*noted.get(name, ())[-1:], Digest(int(size), sha256))
    return noted


def forget(path: Path) -> None:
    """Forget what a file held, as it is deleted or will be written anew."""
    if folder := _keeper(path):
        _write_anew(folder, without=path.relative_to(folder).as_posix())


def settle(folder: Path) -> None:
    """Keep one line for each file, once nothing more is to be written."""
    if (folder / NAME).is_file():
        _write_anew(folder)


def _write_anew(folder: Path, without: str = "") -> None:
    with _locked(folder / NAME):
        lines = [_HEADER]
        for name, noted in sorted(digests_of(folder).items()):
            path = folder / name
            content = path.read_bytes() if path.is_file() else b""
            held = [digest for digest in noted if _vouches(path, digest, content)]
            # Of what is damaged or gone the last line stays, for readers to say so.
            lines += [_line(name, (held or noted)[-1])] * (name != without)
        partial = folder / f".{NAME}.{os.getpid()}.partial"
        partial.write_text("".join(lines), encoding="utf-8")
        partial.replace(folder / NAME)


def _vouches(path: Path, digest: Digest, content: bytes) -> bool:
    begun = content[: digest.size] if path.name in GROWING else content
    return len(begun) == digest.size and _digest(begun) == digest


def _digest(content: bytes) -> Digest:
    return Digest(len(content), hashlib.sha256(content).hexdigest())


def _line(name: str, digest: Digest) -> str:
    return f"{name},{digest.size},{digest.sha256}\n"


def _keeper(path: Path) -> Path | None:
    """The run folder that a file is in: its own folder, or the one above."""
    return next((folder for folder in list(path.parents)[:2] if (folder / NAME).is_file()), None)


def _append(folder: Path, line: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder / NAME) as file:
        end = os.fstat(file).st_size
        torn = end > 0 and os.pread(file, 1, end - 1) != b"\n"
        os.write(file, (("\n" if torn else "") + line).encode())
        os.fsync(file)  # before the file that it vouches for


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """Open a file for appending, with an exclusive lock, under the name that it has now."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            if path.exists() and os.path.samestat(os.fstat(file), path.stat()):  # still its own
                yield file
                return
        finally:
            os.close(file)
