"""Compare runs: `python -m analysis.compare RUN... --out table.md`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - the command line is made from the annotations
from typing import TYPE_CHECKING, Annotated

import tyro
from tyro.conf import FlagCreatePairsOff, Positional, arg

from analysis.outputs import file_faults
from analysis.program import fail, make_console, print_and_exit, tell
from analysis.render.table import FORMATS, to_terminal
from analysis.run_folder.io import ResultsError, write_text
from analysis.run_folder.run import load
from analysis.run_folder.several_models import runs_of
from analysis.tables.comparison import compare_runs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True)
class CompareSettings:
    """Put runs side by side: size, scores with intervals, time, and who is really better."""

    runs: Annotated[Positional[tuple[Path, ...]], arg(metavar="RUN...")]
    """Run folders of searches; that of --model all stands for those in it."""
    out: Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="(default: print)")] = None
    """Where the table goes: .html, .md, .csv, .tex."""
    metric: Annotated[str, arg(metavar="NAME")] = "weighted_f1"
    """What orders the runs and is bounded: a score such as macro_f1 or f1_neutral."""
    no_published: FlagCreatePairsOff[bool] = False
    """Leave out the results that were published on this data set."""

    def faults(self) -> Iterator[str]:
        """Yield one sentence per invalid setting."""
        if not self.runs:
            yield "give one RUN folder or more"
        endings = ", ".join(f".{name}" for name in FORMATS)
        if self.out is not None and self.out.suffix.removeprefix(".") not in FORMATS:
            yield f"--out must end in one of {endings}, got {self.out}"
        elif self.out is not None:
            yield from file_faults("--out", self.out)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0, or 2 for bad input."""
    settings = tyro.cli(CompareSettings, args=arguments, prog="python -m analysis.compare")
    faults = list(settings.faults())
    runs = []
    for path in settings.runs:
        try:
            runs += [load(run) for run in runs_of(path)]
        except ResultsError as error:
            faults.append(str(error))
    try:
        found = (
            None
            if faults
            else compare_runs(runs, metric=settings.metric, reference=not settings.no_published)
        )
    except (ResultsError, ValueError) as error:
        faults.append(str(error))
    if faults or found is None:
        return fail(faults)
    tell(note for run in runs for note in run.notes)
    if settings.out is None:
        to_terminal(found, make_console())
    else:
        text = FORMATS[settings.out.suffix.removeprefix(".")](found)
        write_text(settings.out, text)
    return 0


if __name__ == "__main__":
    print_and_exit(main)
