"""Files that a search stands on and that are gone for a while, as when a share is away.

They were there when the search began, so that work that fails while one is missing waits for it.
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
    """A file was there when the search began, and has been gone for longer than is waited for."""


def await_files(experiment: Experiment, error: Exception) -> None:
    """Wait until what is missing is back, so that what has failed can be tried again.

    Args:
        experiment: Names the files.
        error: What the work has failed with; raised again when no file is missing.

    Raises:
        OutOfReachError: If a file stays away.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    path = _missing(experiment)
    if path is None or isinstance(error, ConfigError):  # before any file is looked for
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
    except OSError:  # of a share: stale, timed out, no such device
        return False
    return True
