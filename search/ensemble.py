"""Join the confirmed configs of runs: `python -m search.ensemble RUN... --out DIR`.

Nothing is trained: every confirmed config kept its predictions, out of fold and of the unlabelled
pairs. An ensemble is written only where nested validation prefers it to the best config alone.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - the command line is made from the annotations
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from analysis.outputs import folder_faults
from analysis.program import fail, make_console, print_and_exit, tell
from search.config.settings import unset

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True)
class EnsembleSettings:
    """Join the confirmed configs of one run, or of runs of several models."""

    runs: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="RUN...")]
    """Run folders: of the same data, objective, split, folds, repeats, seed and --decision; or
    that of --model all, for those in it."""
    out: Annotated[Path | None, unset("DIR", "print only")] = None
    """Folder of predictions.csv, probabilities.csv and ensemble.json."""

    def faults(self) -> Iterator[str]:
        """Yield one sentence per fault of the request."""
        if not self.runs:
            yield "give one RUN folder or more"
        for run in self.runs:
            if not run.is_dir():
                yield f"RUN must be a run folder: there is no folder {run}"
        if self.out is not None:
            yield from folder_faults("--out", self.out)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0, or 2 for bad input."""
    settings = tyro.cli(EnsembleSettings, args=arguments, prog="python -m search.ensemble")
    if faults := list(settings.faults()):
        return fail(faults)
    # Pandas is imported only now: --help and bad input answer at once.
    from analysis.run_folder.io import ResultsError  # noqa: PLC0415
    from analysis.run_folder.several_models import runs_of  # noqa: PLC0415
    from search.selection.joined_runs import JoiningError, join_runs  # noqa: PLC0415

    try:
        joined = join_runs([run for path in settings.runs for run in runs_of(path)])
    except (JoiningError, ResultsError) as error:
        return fail([str(error)])
    tell(joined.notes)
    _show(joined.record)
    if settings.out is None:
        return 0
    if not joined.record["preferred"]:
        tell([f"{settings.out} is not written: the best config predicts as well alone"])
        return 0
    joined.write(settings.out)
    sys.stdout.write(f"predictions  {settings.out / 'predictions.csv'}\n")
    return 0


def _show(record: dict[str, Any]) -> None:
    from rich.table import Table  # noqa: PLC0415 - likewise

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("config", record["objective"], "share"):
        table.add_column(name, justify="left" if name == "config" else "right")
    for one in record["members"]:
        share = f"{one['weight']:.0%}" if one["weight"] else ""
        table.add_row(one["name"], f"{one['score']:.4f}", share)
    console = make_console(highlight=False)
    console.print(table)
    console.print(record["verdict"])


if __name__ == "__main__":
    print_and_exit(main)
