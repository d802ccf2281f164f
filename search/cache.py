"""The cache of frozen activations here: `python -m search.cache` lists, checks and prunes it."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from analysis.program import fail, make_console, print_and_exit
from search.config.settings import default_cache, unset

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainables.activations.catalogue import CachedFile

_DAY = 86_400.0


@dataclass(frozen=True)
class CacheSettings:
    """List the frozen activations that this machine keeps; check or prune them."""

    cache: Annotated[Path | None, unset("DIR", "in the user's cache folder")] = None
    """The cache's folder."""
    check: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Read every file and compare its checksum."""
    prune: Annotated[float | None, unset("DAYS", "remove nothing")] = None
    """Remove what is unfinished or damaged, and what no search opened for DAYS (0: all).
    What is being built stays, and so does any file that is not the cache's own."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0, 1 if a file is damaged, 2 for bad input."""
    settings = tyro.cli(CacheSettings, args=arguments, prog="python -m search.cache")
    folder = default_cache() if settings.cache is None else settings.cache
    faults = []
    if settings.prune is not None and not settings.prune >= 0:
        faults.append(f"--prune must be >= 0 days, got {settings.prune}")
    if settings.cache is not None and not folder.is_dir():
        faults.append(f"--cache must be a folder, got {folder}")
    if faults:
        return fail(faults)
    from trainables.activations.catalogue import (  # noqa: PLC0415 - after --help
        BEING_BUILT,
        catalogue,
        remove,
    )
    from trainables.activations.ownership import MARKER, is_marked  # noqa: PLC0415 - likewise

    if settings.cache is not None and not is_marked(folder):
        return fail(
            [
                f"--cache must be a folder in which searches keep frozen activations: {folder}"
                f" lacks their marker, {MARKER}; a search with --cache {folder} writes it"
            ]
        )

    files = catalogue(folder, check=settings.check or settings.prune is not None)
    if settings.prune is not None:
        limit = time.time() - settings.prune * _DAY
        idle = [file for file in files if file.state != BEING_BUILT]
        old = [file for file in idle if file.state or file.used <= limit]
        gone = [file for file in old if remove(folder, file)]
        files = [file for file in files if file not in gone]
        freed = sum(file.size for file in gone)
        sys.stdout.write(f"removed {len(gone)} files, {freed / 1e6:,.1f} MB\n")
    _show(folder, files)
    return 1 if any(file.state not in {"", BEING_BUILT} for file in files) else 0


def _show(folder: Path, files: Sequence[CachedFile]) -> None:
    from rich.table import Table  # noqa: PLC0415 - after --help

    table = Table(title=f"{folder}", title_justify="left", box=None, pad_edge=False)
    for name, justify in (("file", "left"), ("backbone", "left"), ("cut", "left")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type] # a literal above
    for name in ("samples", "MB", "last used"):
        table.add_column(name, justify="right")
    table.add_column("state")
    now = time.time()
    for file in files:
        days = (now - file.used) / _DAY
        table.add_row(
            file.digest,
            Path(file.source).name,
            file.place,
            f"{file.samples:,}",
            f"{file.size / 1e6:,.1f}",
            "today" if days < 1 else f"{days:.0f} days ago",
            f"[red]{file.state}[/]" if file.state else "whole",
        )
    total = sum(file.size for file in files)
    make_console().print(table)
    sys.stdout.write(f"{len(files)} files, {total / 1e6:,.1f} MB\n")


if __name__ == "__main__":
    print_and_exit(main)
