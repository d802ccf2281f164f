"""What the files of a run folder held when they were written, so that damage shows.

`digests.csv` has a line for every writing: a file's path in the folder, its size in bytes and its
SHA-256. The line is there before the file is, so that a kill between the two leaves a file that
the line before it vouches for. A file that no line names, as in folders of earlier versions, is
taken as it is; and so is the whole folder once `digests.csv` is deleted.
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
    """What a file held.

    Attributes:
        size: In bytes.
        sha256: In hexadecimal.
    """

    size: int
    sha256: str


def keep_digests(folder: Path) -> None:
    """Begin to note what is written in a run folder, where it is not done yet.

    Args:
        folder: The run folder; made when missing.
    """
    if not (folder / NAME).exists():
        _append(folder, _HEADER)


def note(path: Path, content: bytes) -> None:
    """Note what a file is about to hold; nothing where its folder keeps no digests.

    Args:
        path: The file.
        content: Its content; of a file that grows, as far as it has come.
    """
    if folder := _keeper(path):
        _append(folder, _line(path.relative_to(folder).as_posix(), _digest(content)))


def fault_of(path: Path, content: bytes) -> str:
    """Say how a file is not what was written.

    Args:
        path: The file.
        content: What it holds.

    Returns:
        What it must be; empty where it is that, or where nothing was noted.
    """
    folder = _keeper(path)
    noted = digests_of(folder).get(path.relative_to(folder).as_posix(), ()) if folder else ()
    if not noted or any(_vouches(path, digest, content) for digest in noted):
        return ""
    size = noted[-1].size
    if len(content) < size:
        return f"must have the {size:,} bytes that were written, got {len(content):,}"
    return f"must hold what was written, by {NAME}, got something else"


def is_noted(path: Path) -> bool:
    """Say whether a file was written here, so that it is lost where it is missing.

    Args:
        path: The file.

    Returns:
        True where there is a digest of it.
    """
    folder = _keeper(path)
    return folder is not None and path.relative_to(folder).as_posix() in digests_of(folder)


def lost_files(folder: Path) -> list[Path]:
    """List what was written and is gone.

    Args:
        folder: The run folder.

    Returns:
        The files, in the order of their names.
    """
    return [folder / name for name in sorted(digests_of(folder)) if not (folder / name).exists()]


def digests_of(folder: Path) -> Mapping[str, tuple[Digest, ...]]:
    """Read what was noted last of every file.

    Args:
        folder: The run folder.

    Returns:
        By path in the folder, the last two digests: a kill may have left the older content.
    """
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
    """Forget what a file held: it is gone for good, or is made anew.

    Args:
        path: The file.
    """
    if folder := _keeper(path):
        _write_anew(folder, without=path.relative_to(folder).as_posix())


def settle(folder: Path) -> None:
    """Keep one line for each file, once nothing more is to be written.

    Args:
        folder: The run folder.
    """
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
    """Open a file to add to it, alone, under the name that it has now."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            if path.exists() and os.path.samestat(os.fstat(file), path.stat()):  # still its own
                yield file
                return
        finally:
            os.close(file)
