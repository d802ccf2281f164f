"""Where the study of a run is stored: a journal in its folder, or a relational database."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import optuna
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from analysis.run_folder.io import DamageError, ResultsError

if TYPE_CHECKING:
    from typing import Any

    from optuna.storages import BaseStorage
    from sqlalchemy.engine import URL

    from analysis.run_folder.folder import RunFolder

_PATIENCE_SECONDS = 10
_WITH_TIMEOUT = {"psycopg", "psycopg2", "pymysql", "mysqldb"}  # whose drivers know the option


def database_of(folder: RunFolder) -> str | None:
    """Return the SQLAlchemy URL of the study's database; None where the study is a file."""
    if not folder.search.exists():
        return None
    return folder.read_search().settings.resources.study_storage


def open_storage(folder: RunFolder) -> tuple[BaseStorage, str]:
    """Open the storage of a run's study for reading.

    Returns:
        Optuna's storage, and the study's name in it.

    Raises:
        ResultsError: If there is no study, it is damaged, or its database cannot be read.
    """
    url = database_of(folder)
    if url is None:
        folder.read_study()
        return replay(folder)
    storage, name = open_database(url), folder.read_search().name
    if name not in optuna.get_all_study_names(storage):
        msg = f"{url} holds no study {name}"
        raise ResultsError(msg)
    return storage, name


def replay(folder: RunFolder) -> tuple[BaseStorage, str]:
    """Open the journal of a run, without a check of its digest.

    Returns:
        Optuna's storage, and the study's name in it.

    Raises:
        DamageError: If it is no journal, or holds no study.
    """
    if not folder.study.is_file():  # to open a pipe would wait for ever
        raise DamageError(folder.study, "must be a file, got another kind")
    try:
        storage = JournalStorage(JournalFileBackend(str(folder.study)))
        names = optuna.get_all_study_names(storage)
    except Exception as error:  # Optuna replays unchecked what it reads
        fault = f"must be a journal of Optuna's, got {type(error).__name__}: {error}"
        raise DamageError(folder.study, fault) from error
    if not names:
        raise DamageError(folder.study, "must hold a study, got none")
    return storage, names[0]  # a journal holds one


def open_database(url: str) -> RDBStorage:
    """Open a relational database by its SQLAlchemy URL; missing tables are made.

    Returns:
        Optuna's storage.

    Raises:
        ResultsError: If there is no driver, no such database, or tables of another Optuna.
    """
    try:
        parsed = make_url(url)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return RDBStorage(url, engine_kwargs=_engine(parsed))
    except (ImportError, NoSuchModuleError) as error:
        msg = f"{url} needs the package of its driver: {_cause(error)}"
        if parsed.get_backend_name() == "postgresql":
            msg += "; pip install 'multimodal-sentiment-search[postgresql]'"
        raise ResultsError(msg) from error
    except ArgumentError as error:  # it may hold a password that is not where it should be
        msg = "its form must be DIALECT+DRIVER://USER@HOST/DATABASE or sqlite:///FILE"
        raise ResultsError(msg) from error
    except (SQLAlchemyError, RuntimeError, optuna.exceptions.StorageInternalError) as error:
        msg = f"{url} cannot be had: {_cause(error)}"
        raise ResultsError(msg) from error


def _engine(url: URL) -> dict[str, Any]:
    # A connection that the server has closed meanwhile is made anew.
    options: dict[str, Any] = {"pool_pre_ping": True}
    if url.get_driver_name() in _WITH_TIMEOUT and "connect_timeout" not in url.query:
        options["connect_args"] = {"connect_timeout": _PATIENCE_SECONDS}
    return options


def _cause(error: BaseException) -> str:
    """Return the driver's message, in one line, without SQLAlchemy's links."""
    while (inner := getattr(error, "orig", None) or error.__cause__) is not None:
        error = inner
    return "; ".join(line.strip() for line in str(error).splitlines() if line.strip())
