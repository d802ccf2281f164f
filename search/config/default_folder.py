"""The folder of a search that names none, unique even if two searches begin at the same time."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from search.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from search.config.settings import SearchSettings

_RUNS = Path("runs")


def default_name(model: str) -> str:
    """Name the folder of a search after its model and the time."""
    return f"{model}-{datetime.now().astimezone():%Y%m%d-%H%M%S}"


@contextmanager
def own_folder(settings: SearchSettings) -> Iterator[SearchSettings]:
    """Give a new search that names no folder one of its own; removed at the end if still empty.

    Yields:
        The settings with the folder.

    Raises:
        SettingsError: If it cannot be made.
    """
    makes_none = settings.show_space or settings.dry_run
    if makes_none or settings.out is not None or settings.resume is not None:
        yield settings
        return
    is_new = not _RUNS.exists()
    folder = take(_RUNS / default_name(settings.model))
    try:
        yield replace(settings, out=folder)
    finally:
        with suppress(OSError):  # there is something in it
            folder.rmdir()
            if is_new:
                _RUNS.rmdir()


def take(folder: Path) -> Path:
    """Make a folder; if it exists, one with the first free number from 2 on in its name.

    Returns:
        The new folder.

    Raises:
        SettingsError: If it cannot be made.
    """
    number, free = 1, folder
    while True:
        try:
            free.mkdir(parents=True)
        except FileExistsError:
            number += 1
            free = folder.with_name(f"{folder.name}-{number}")
        except OSError as error:
            msg = (
                f"--out must be a folder that can be made, got {free.absolute()}: {error.strerror}"
            )
            raise SettingsError(msg) from error
        else:
            return free
