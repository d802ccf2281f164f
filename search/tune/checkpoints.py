"""Ray's own files of a search: one folder per attempt, on this machine or where all reach it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pyarrow.fs import FileSelector, FileSystem

from search.config.checkpoint_storage import below
from search.errors import SettingsError
from trainables.trainable import STATE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_ATTEMPT = re.compile(r"attempt-(\d+)")
_STATE = re.compile(rf"attempt-(\d+)/trial-(\d+)/checkpoint_(\d+)/{re.escape(STATE)}")


class Attempts:
    """The folders of what Ray writes of a search, one per attempt.

    Args:
        place: A folder, or a URI that pyarrow knows, such as `s3://bucket/path`.

    Raises:
        SettingsError: If it cannot be used.
    """

    def __init__(self, place: str) -> None:
        self.place = place
        try:
            self._files, self._root = FileSystem.from_uri(place)
        except Exception as error:  # a filesystem raises what it likes
            raise SettingsError(_unusable(place, error)) from error

    def make(self) -> None:
        """Make the folder.

        Raises:
            SettingsError: If it cannot be written.
        """
        try:
            self._files.create_dir(self._root, recursive=True)
        except Exception as error:  # as above
            raise SettingsError(_unusable(self.place, error)) from error

    def next_name(self) -> str:
        """Return the name of the next attempt's folder, `attempt-N`, N from 1."""
        names = (_ATTEMPT.fullmatch(path.partition("/")[0]) for path in self._paths())
        return f"attempt-{max((int(name[1]) for name in names if name), default=0) + 1}"

    def checkpoints(self) -> dict[int, str]:
        """Return each unfinished trial's newest checkpoint, a folder or a URI, by number."""
        found: dict[int, tuple[int, int, str]] = {}
        for path in self._paths():
            if match := _STATE.fullmatch(path):
                attempt, number, count = map(int, match.groups())
                this = (attempt, count, below(self.place, path.rpartition("/")[0]))
                found[number] = max(found.get(number, this), this)
        return {number: place for number, (*_, place) in found.items()}

    def forget(self, trials: Collection[int]) -> None:
        """Remove the checkpoints of trials that are done, by their numbers."""
        for path in list(self._paths()):
            match = _STATE.fullmatch(path)
            if match and int(match[2]) in trials:
                self._files.delete_dir(f"{self._root}/{path.rpartition('/')[0]}")

    def _paths(self) -> Iterator[str]:
        wanted = FileSelector(self._root, allow_not_found=True, recursive=True)
        start = len(self._root.strip("/")) + 1
        for info in self._files.get_file_info(wanted):
            yield info.path.strip("/")[start:]


def _unusable(place: str, error: Exception) -> str:
    words = " ".join(str(error).split())
    return f"--storage must be a folder or a URI that every node can write, got {place}: {words}"
