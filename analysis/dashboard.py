"""Follow a search in a browser while it runs: `python -m analysis.dashboard RUN`.

optuna-dashboard reads the study directly, so it shows the current state of the search.
"""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - the command line is made from the annotations
from typing import TYPE_CHECKING, Annotated

import tyro
from tyro.conf import FlagCreatePairsOff, Positional, arg

from analysis.program import fail
from analysis.run_folder.folder import ResultsError, RunFolder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_PACKAGE, _NAME = "optuna_dashboard", "optuna-dashboard"
_MOST_PORTS = 65_535


@dataclass(frozen=True)
class DashboardSettings:
    """Watch a search in a browser, while it runs or after; needs the extra `dashboard`."""

    run: Annotated[Positional[Path], arg(metavar="RUN")]
    """The folder of a search."""
    port: Annotated[int, arg(metavar="N")] = 8080
    """Where the page is, on this machine."""
    host: Annotated[str, arg(metavar="NAME")] = "127.0.0.1"
    """Who may see it: this machine alone, or 0.0.0.0 for all of the network."""

    database: FlagCreatePairsOff[bool] = False
    """Connect to the database that RUN names for its study; not where RUN is a stranger's."""

    def faults(self) -> Iterator[str]:
        """Yield one sentence per invalid setting."""
        folder = RunFolder(self.run)
        if folder.all_models.exists():
            yield f"RUN must be the folder of one search, got {self.run}: name a model's in it"
        elif not folder.holds_search():
            yield f"RUN must hold a study, got {self.run}: there is no file {folder.study.name}"
        if not 0 < self.port <= _MOST_PORTS:
            yield f"--port must be in [1, {_MOST_PORTS}], got {self.port}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command until it is interrupted; return its exit code: 0, or 2 for bad input."""
    settings = tyro.cli(DashboardSettings, args=arguments, prog="python -m analysis.dashboard")
    if faults := list(settings.faults()):
        return fail(faults)
    from analysis.run_folder.study_storage import (  # noqa: PLC0415 - after the cheap checks
        database_of,
        open_storage,
    )

    folder = RunFolder(settings.run)
    try:
        if (url := database_of(folder)) is not None and not settings.database:
            return fail([f"RUN has its study in {url}; --database connects to it"])
        storage, _ = open_storage(folder)
    except ResultsError as error:
        return fail([str(error)])
    if importlib.util.find_spec(_PACKAGE) is None:
        return fail([f"the dashboard needs the package {_NAME}; pip install {_NAME}"])
    from optuna_dashboard import run_server  # noqa: PLC0415 - an extra

    sys.stdout.write(f"http://{settings.host}:{settings.port} until Ctrl-C\n")
    sys.stdout.flush()
    try:
        run_server(storage, host=settings.host, port=settings.port)
    except KeyboardInterrupt:
        return 0
    except OSError as error:
        return fail([f"--port {settings.port} cannot be had: {error.strerror}"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
