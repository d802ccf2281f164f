"""Wait for files of a search that are temporarily unavailable, as when a network share is down.

All of them existed when the search started, so a task that fails while one is missing waits for
it and is retried.
"""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from trainables.config import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainables.experiment import Experiment

PATIENCE_SECONDS = 60.0
_SECONDS_BETWEEN_LOOKS = 1.0


class OutOfReachError(OSError):
    """A file that existed when the search started has been missing for longer than the timeout."""


def await_files(experiment: Experiment, error: Exception) -> None:
    """Wait until missing files are back, so that a failed task can be retried.

    Args:
        experiment: Names the files.
        error: The task's error; raised again if no file is missing.

    Raises:
        OutOfReachError: If a file stays missing.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    path = _missing(experiment)
    if path is None or isinstance(error, ConfigError):  # not caused by a missing file
        raise error
    while path is not None:
        if time.monotonic() > deadline:
            words = os.strerror(errno.ENOENT)
            raise OutOfReachError(errno.ENOENT, words, str(path)) from error
        time.sleep(_SECONDS_BETWEEN_LOOKS)
        path = _missing(experiment)


def _missing(experiment: Experiment) -> Path | None:
    return next((path for path in _needed(experiment) if not _is_there(path)), None)


def _needed(experiment: Experiment) -> Iterator[Path]:
    if experiment.cache_here is not None:
        yield experiment.cache_here
    for source in experiment.backbones.values():
        if Path(source).is_absolute():
            yield Path(source)
    if experiment.modality != "text":
        for sample in experiment.corpus.samples:
            if sample.image is not None:
                yield sample.image


def _is_there(path: Path) -> bool:
    try:
        path.stat()
    except OSError:  # stale handle, timeout or missing device of a network share
        return False
    return True
