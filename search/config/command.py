"""The command line that asks for a search."""

from __future__ import annotations

import shlex
from dataclasses import MISSING, fields, is_dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from search.config.settings import SearchSettings

_PROGRAM = ("python", "-m", "search.run")
_FLAGS = {"path": "data"}  # fields whose flag has another name
# Not settings of the search itself; and another search needs another folder.
_LEFT_OUT = {"show_space", "list_backbones", "resume", "rerun_lost", "dry_run", "out"}


def command_line(settings: SearchSettings) -> str:
    """Return the shell command that asks for these settings, without those at their default."""
    return shlex.join([*_PROGRAM, *_words(settings)])


def _words(settings: Any) -> Iterator[str]:
    for field in fields(settings):
        value = getattr(settings, field.name)
        if is_dataclass(value):
            yield from _words(value)
        elif field.name not in _LEFT_OUT and value != _default(field):
            yield from _flag(_FLAGS.get(field.name, field.name).replace("_", "-"), value)


def _default(field: Any) -> Any:
    return field.default if field.default is not MISSING else None


def _flag(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, bool):
        yield f"--{name}" if value else f"--no-{name}"
        return
    for one in value if isinstance(value, tuple) else [value]:
        yield f"--{name}"
        yield str(one)
