"""Where the study of a search is stored: a journal in its run folder, or a relational database."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

import optuna
from optuna.storages import JournalStorage
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from analysis.run_folder.io import ResultsError
from analysis.run_folder.study_storage import database_of, open_database
from search.errors import SettingsError
from search.study.journal import StudyJournal
from trainables.modules.backbones.weights import local_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from optuna.storages import BaseStorage

    from analysis.run_folder.folder import RunFolder

_FORM = "--study-storage must be DIALECT://USER@HOST/DATABASE or sqlite:///FILE"
_SECRETS = ("password", "passwd", "sslpassword")  # as options of a URL, which drivers take too


@dataclass(frozen=True)
class StudyStorage:
    """A study that can be read and written.

    Attributes:
        storage: Optuna's storage.
        name: The study's name in it.
        one_write: Makes what is logged in a block one write, where that is cheaper.
    """

    storage: BaseStorage
    name: str
    one_write: Callable[[], AbstractContextManager[None]]


def study_storage_faults(url: str | None, folder: RunFolder, *, resumed: bool) -> Iterator[str]:
    """Yield faults of the study's database, without passwords; nothing is opened yet.

    Args:
        url: The database that was asked for; None for a file in the run folder.
        folder: The run folder.
        resumed: Whether it holds a search to resume.

    Yields:
        One sentence per fault.
    """
    if url is None:
        return
    try:
        parsed = make_url(url)
    except ArgumentError:
        yield f"{_FORM}, got something else"
        return
    if parsed.password is not None or any(name in parsed.query for name in _SECRETS):
        shown = parsed.set(query={}).render_as_string(hide_password=True)
        yield (
            f"--study-storage must be without a password, got {shown}: it would be written to"
            " search.json; PostgreSQL takes it from PGPASSWORD or ~/.pgpass"
        )
    elif not parsed.database or parsed.database == ":memory:":
        yield f"{_FORM}, got {url} without a database"
    if resumed and database_of(folder) is None:
        yield f"--study-storage must be left out, as {folder.path} holds its study in a file"


def whole_url(url: str | None) -> str | None:
    """Make the file in a URL of SQLite absolute; other URLs stay as they are."""
    if url is None:
        return None
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return url
    assert parsed.database is not None
    file = local_path(parsed.database).absolute()
    return parsed.set(database=str(file)).render_as_string(hide_password=False)


def name_run(folder: RunFolder, *, resumed: bool) -> str:
    """Return a search's name in a shared database or folder: as it began, or a new unique one."""
    if resumed:
        return folder.read_search().name or folder.path.name
    return f"{folder.path.name}-{uuid4().hex[:8]}"


def open_study_storage(
    folder: RunFolder, url: str | None, name: str, *, resumed: bool
) -> StudyStorage:
    """Open the storage of a search's study.

    Args:
        folder: The run folder.
        url: The database; None for a file in the run folder.
        name: The study's name in it.
        resumed: Whether the run folder holds a search to resume.

    Returns:
        The storage; the study may not exist in it yet.

    Raises:
        SettingsError: If the database cannot be opened, or lacks the study of a resumed run.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if url is None:
        journal = StudyJournal(folder.study)
        return StudyStorage(JournalStorage(journal), name, journal.one_write)
    try:
        storage = open_database(url)
    except ResultsError as error:
        msg = f"--study-storage: {error}"
        raise SettingsError(msg) from error
    begun = resumed and folder.trials.exists()
    if begun and name not in optuna.get_all_study_names(storage):
        msg = f"--study-storage must hold the study {name} of {folder.path}, got {url}"
        raise SettingsError(msg)
    return StudyStorage(storage, name, nullcontext)
