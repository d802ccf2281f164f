"""Where checkpoints of trials go: a folder or a URI; nothing is opened here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from trainables.modules.backbones.weights import local_path

if TYPE_CHECKING:
    from collections.abc import Iterator


def below(place: str, name: str) -> str:
    """Join a name to a folder's path or URI; options after a question mark stay at the end."""
    if "://" not in place:
        return str(Path(place, name))
    folder, mark, options = place.partition("?")
    return f"{folder.rstrip('/')}/{name}{mark}{options}"


def absolute_storage(storage: str) -> str:
    """Make a folder absolute; a URI stays as it is."""
    return storage if "://" in storage else str(local_path(storage).absolute())


def storage_faults(storage: str | None) -> Iterator[str]:
    """Yield faults of where Ray's files are to go, without passwords; nothing is opened yet."""
    if storage is not None and "://" in storage and urlsplit(storage).password is not None:
        yield (
            f"--storage must be without a key, got {urlsplit(storage).scheme}://...: it would be"
            " written to search.json; every node takes it from its own environment"
        )
