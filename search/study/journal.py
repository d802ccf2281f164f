"""The study's journal: what belongs together, as all that a trial draws, is appended in one write.

Of 40 drivers killed while they wrote, Optuna's own backend left 15 with a trial that had some of
its hyperparameters, which a resume would complete with other draws than an unbroken search, and
this one none, in a third to a half of the time (`tests/benchmarks/journal.py`). The file is the
same either way, and `optuna-dashboard` opens it while a search runs.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from optuna.storages.journal import (
    BaseJournalBackend,
    JournalFileBackend,
    JournalFileSymlinkLock,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

# Others hold the lock for milliseconds: after so long, who held it was killed.
_GRACE_SECONDS = 5


class StudyJournal(BaseJournalBackend):
    """A journal file whose writes can be held back and appended together.

    Args:
        path: The file; made when missing. A last line that a kill tore is cut off.
    """

    def __init__(self, path: Path) -> None:
        self._lock = _NestedLock(str(path))
        self._file = JournalFileBackend(str(path), self._lock)  # type: ignore[arg-type]
        self._held: list[dict[str, Any]] | None = None
        self._first_held: int | None = None
        self._read = 0
        self._lock.acquire()
        try:
            _cut_torn_line(path)
        finally:
            self._lock.release()

    @contextmanager
    def one_write(self) -> Iterator[None]:
        """Append all that is logged within the block in one write, at its end.

        Other writers wait meanwhile, so that the logs are numbered as they will lie in the file.
        What was logged before an exception is appended too. A block within a block adds to it.

        Yields:
            Nothing.
        """
        if self._held is not None:
            yield
            return
        self._lock.acquire()
        self._held, self._first_held = [], None
        try:
            yield
        finally:
            held, self._held = self._held, None
            try:
                if held:
                    self._file.append_logs(held)
            finally:
                self._lock.release()

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        """Read the logs from a number (>= 0) on: those of the file, then those held back."""
        if self._held is None:
            return self._written(log_number_from)
        written: list[dict[str, Any]] = []
        if self._first_held is None:  # the file stays as it is while the lock is held
            written = self._written(log_number_from)
            self._first_held = log_number_from + len(written)
        return written + self._held[max(0, log_number_from - self._first_held) :]

    def _written(self, log_number_from: int) -> list[dict[str, Any]]:
        # Optuna's backend seeks only to where it read before, and what was held back it never
        # read: asked for a log beyond, it would go through the whole file.
        start = min(self._read, log_number_from)
        logs = list(self._file.read_logs(start))
        self._read = max(self._read, start + len(logs))
        return logs[log_number_from - start :]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append JSON-ready logs, or hold them back within `one_write`."""
        if self._held is None:
            self._file.append_logs(logs)
        else:
            self._held += json.loads(json.dumps(logs))  # as a reader of the file has them


class _NestedLock:
    """A lock that one process may take again while it holds it."""

    def __init__(self, path: str) -> None:
        self._lock = JournalFileSymlinkLock(path, grace_period=_GRACE_SECONDS)
        self._depth = 0

    def acquire(self) -> bool:
        if not self._depth:
            self._lock.acquire()
        self._depth += 1
        return True

    def release(self) -> None:
        self._depth -= 1
        if not self._depth:
            self._lock.release()


def _cut_torn_line(path: Path) -> None:
    """Remove an incomplete last line, which would run into the next log and damage the file."""
    with path.open("r+b") as file:
        content = file.read()
        file.truncate(content.rfind(b"\n") + 1)
