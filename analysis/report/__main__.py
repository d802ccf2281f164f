"""Make the report of a run: `python -m analysis.report RUN`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - the command line is made from the annotations
from typing import TYPE_CHECKING, Annotated

import tyro
from tyro.conf import FlagCreatePairsOff, Positional, arg

from analysis.outputs import file_faults
from analysis.program import fail, print_and_exit, tell
from analysis.report import write_report
from analysis.report.models import write_models_report
from analysis.run_folder.folder import RunFolder
from analysis.run_folder.io import ResultsError
from analysis.run_folder.run import load

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class ReportSettings:
    """Make the report of a search: one page that stands alone, in its folder."""

    run: Annotated[Positional[Path], arg(metavar="RUN")]
    """The folder of a search, or of --model all; it may still run."""
    database: FlagCreatePairsOff[bool] = False
    """Connect to the database that RUN names for its study; not where RUN is a stranger's."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0, or 2 for bad input."""
    settings = tyro.cli(ReportSettings, args=arguments, prog="python -m analysis.report")
    folder = RunFolder(settings.run.absolute())
    if settings.run.is_dir() and (faults := list(file_faults("RUN", folder.report))):
        return fail(faults)
    try:
        if folder.all_models.exists():
            path = write_models_report(folder)
        else:
            run = load(settings.run, database=settings.database)
            path = write_report(run)
            tell(run.notes)
    except ResultsError as error:
        return fail([str(error)])
    sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    print_and_exit(main)
