"""Where checkpoints of trials are asked to go: a folder or a URI; nothing is opened here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from trainables.modules.backbones.weights import local_path

if TYPE_CHECKING:
    from collections.abc import Iterator


def below(place: str, name: str) -> str:
    """Name what is in a folder.

    Args:
        place: The folder's path or URI; what follows a question mark stays at the end.
        name: A relative path.

    Returns:
        A path or URI.
    """
    if "://" not in place:
        return str(Path(place, name))
    folder, mark, options = place.partition("?")
    return f"{folder.rstrip('/')}/{name}{mark}{options}"


def absolute_storage(storage: str) -> str:
    """Make a folder mean the same wherever one stands.

    Args:
        storage: A folder or a URI.

    Returns:
        The folder from the root; a URI as it is.
    """
    return storage if "://" in storage else str(local_path(storage).absolute())


def storage_faults(storage: str | None) -> Iterator[str]:
    """Say what is wrong with where Ray's files are asked to go; nothing is opened yet.

    Args:
        storage: A folder or a URI; None for the run folder.

    Yields:
        One sentence per fault, without what may be a password.
    """
    if storage is not None and "://" in storage and urlsplit(storage).password is not None:
        yield (
            f"--storage must be without a key, got {urlsplit(storage).scheme}://...: it would be"
            " written to search.json; every node takes it from its own environment"
        )
