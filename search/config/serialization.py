"""Settings in a run folder: written, read back, and compared with what is asked now.

Nothing here imports a framework, so that `--help` answers at once.
"""

from __future__ import annotations

import argparse
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_type_hints

from search.errors import SettingsError
from trainables.config import nearest
from trainables.modules.backbones.weights import local_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MAY_DIFFER = frozenset(
    {
        *("trials", "time_budget", "resume", "rerun_lost", "show_space", "dry_run"),
        "list_backbones",
        *("gpus_per_trial", "cpus_per_trial", "max_concurrent", "reuse_actors", "address"),
        *("trial_timeout", "cache", "no_cache", "resident", "storage", "study_storage"),
        *("path", "val", "test", "allow_outside", "tensorboard", "mlflow", "wandb"),
        *("retrain", "confirm", "final", "final_seeds", "ensemble_size"),
    }
)
"""What may change when a search goes on: how much is searched, where it runs and what comes after
the trials, not what is searched."""

SettingsT = TypeVar("SettingsT")

_FLAGS = {"path": "--data"}  # flags that are not named after their field


def resumed_run(words: Sequence[str]) -> Path | None:
    """Return the folder of the run that a command line resumes; None for a new search."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--resume", type=Path)
    try:
        found: Path | None = parser.parse_known_args(list(words))[0].resume
    except argparse.ArgumentError:  # --resume without RUN: the whole parser says so
        return None
    return found


def read_settings(kind: type[SettingsT], run: Path) -> SettingsT:
    """Read the settings that a run began with, every default filled in.

    Returns:
        The settings, of the dataclass `kind`.

    Raises:
        SettingsError: If the folder holds no search, or one of another version.
    """
    from analysis.run_folder.folder import RunFolder  # noqa: PLC0415  # brings pandas
    from analysis.run_folder.io import ResultsError, read_json  # noqa: PLC0415

    folder = RunFolder(run)
    path = folder.search if folder.search.exists() else folder.all_models
    if not path.exists():
        name = folder.search.name
        msg = f"--resume must be the folder of a search, got {run}, which has no {name}"
        raise SettingsError(msg)
    try:
        if path == folder.search:
            begun = folder.read_search().settings.everything
        else:
            begun = read_json(path, "")["settings"]
        settings: SettingsT = restored(kind, begun)
    except ResultsError as error:
        msg = f"--resume: {error}"
        raise SettingsError(msg) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f"--resume: the settings in {path} must be those of this version: {error}"
        raise SettingsError(msg) from error
    return settings


def refuse_changes(old: Any, new: Any) -> None:
    """Refuse to resume a search with other settings than it began with.

    Raises:
        SettingsError: If one that may not differ does; the message has one line per setting.
    """
    begun = dict(_flat(old))
    faults = [
        f"{_FLAGS.get(name, '--' + name.replace('_', '-'))} must stay as the search was begun"
        f" with, {_words(begun[name])}, got {_words(value)}"
        for name, value in _flat(new)
        if name not in MAY_DIFFER and _meant(value) != _meant(begun[name])
    ]
    if begun.get("retrain") and not dict(_flat(new))["retrain"]:
        faults.append("--no-retrain must be left out, as the search was begun without: it ships")
    if faults:
        raise SettingsError("\n".join(faults))


def with_changes(begun: SettingsT, asked: Any) -> SettingsT:
    """Return the settings that a search began with, with those of `MAY_DIFFER` asked now."""
    values = {}
    for field in fields(begun):  # type: ignore[arg-type]  # a dataclass
        own, new = getattr(begun, field.name), getattr(asked, field.name)
        if is_dataclass(own):
            values[field.name] = with_changes(own, new)
        elif field.name in MAY_DIFFER:
            values[field.name] = new
    return replace(begun, **values)  # type: ignore[type-var]  # as above


def plain(value: Any) -> Any:
    """Convert settings, or a value of theirs, to JSON that `restored` reads back."""
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def restored(kind: type[SettingsT], plain: Mapping[str, Any]) -> SettingsT:
    """Make settings of what `plain` returned.

    Returns:
        The settings, of the dataclass `kind`.

    Raises:
        ValueError: If one is not known.
    """
    hints = get_type_hints(kind)
    if unknown := sorted(plain.keys() - hints.keys()):
        msg = f"no setting is called {unknown[0]!r}; {nearest(unknown[0], hints)}"
        raise ValueError(msg)
    return kind(**{name: _value(hints[name], value) for name, value in plain.items()})


def _value(hint: Any, value: Any) -> Any:
    if is_dataclass(hint):
        return restored(hint, value)  # type: ignore[arg-type]  # a class, as a hint is
    if isinstance(value, list):
        item, _ = get_args(hint)  # tuple[item, ...]
        return tuple(_value(item, each) for each in value)
    return Path(value) if isinstance(value, str) and Path in (hint, *get_args(hint)) else value


def _flat(settings: Any) -> Iterator[tuple[str, Any]]:
    for field in fields(settings):
        value = getattr(settings, field.name)
        if is_dataclass(value):
            yield from _flat(value)
        else:
            yield field.name, value


def _meant(value: Any) -> Any:
    if isinstance(value, Path):  # a folder may be relative; `demo` is no folder
        return value if value == Path("demo") else local_path(value).absolute()
    # A repeated flag adds to its earlier values.
    return tuple(dict.fromkeys(map(_meant, value))) if isinstance(value, tuple) else value


def _words(value: Any) -> str:
    return " ".join(map(str, _meant(value))) if isinstance(value, tuple) else str(value)
