"""Score a run's model on labelled pairs: `python -m search.evaluate RUN --data LABELLED`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - tyro reads the annotations
from typing import TYPE_CHECKING, Annotated

import tyro

from analysis.outputs import file_faults
from analysis.program import fail, make_console, print_and_exit
from search.config.model_request import ModelRequest
from search.config.settings import ColumnWords, unset
from trainables.data.encodings import encoding_faults
from trainables.data.files import is_there
from trainables.data.rows.columns import column_faults, parse_columns
from trainables.data.tags import TagsError, parse_tags

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from analysis.run_folder.test_record import TestScores


@dataclass(frozen=True)
class EvaluateSettings(ModelRequest):
    """Score a model on labelled pairs that it was not trained on."""

    data: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """A labelled data set: the test part of its column split, or else all that has a tag."""
    allow_outside: tyro.conf.FlagCreatePairsOff[bool] = False
    """Take files outside the folder of the data too, by links, .. and absolute paths."""
    tags: Annotated[
        tyro.conf.UseAppendAction[tuple[str, ...]],
        tyro.conf.arg(metavar="TAG=CLASS,...", help_behavior_hint="(default: as in the search)"),
    ] = ()
    """Classes of the model by the tags that the list holds, such as 0=negative,1=positive."""
    columns: ColumnWords = ()
    """Columns that the list calls otherwise, such as guid=id,tag=label."""
    encoding: Annotated[str | None, unset("NAME", "that of the search, where it fits")] = None
    """Encoding of texts that are no UTF-8, such as gb18030 or cp1252."""
    out: Annotated[Path | None, unset("FILE", "the terminal alone")] = None
    """Where the scores go, as JSON."""

    def faults(self) -> Iterator[str]:
        """Yield one sentence per fault of the request."""
        yield from super().faults()
        if not is_there(self.data):
            yield f"--data must exist, got {self.data}"
        yield from column_faults(self.columns)
        yield from encoding_faults(self.encoding)
        try:
            parse_tags(self.tags, least=1)
        except TagsError as error:
            yield str(error)
        if self.out is not None:
            yield from file_faults("--out", self.out)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0, or 2 for bad input."""
    settings = tyro.cli(EvaluateSettings, args=arguments, prog="python -m search.evaluate")
    if faults := list(settings.faults()):
        return fail(faults)
    # After the cheap checks: it imports torch.
    from analysis.run_folder.io import ResultsError  # noqa: PLC0415
    from analysis.run_folder.several_models import run_that_ships  # noqa: PLC0415
    from search.selection.test_set import evaluate  # noqa: PLC0415
    from trainables.inference.about import read_about, spelling_in  # noqa: PLC0415

    try:
        tested, notes = evaluate(
            settings.model,
            run_that_ships(settings.run),
            settings.data,
            spelling_in(
                read_about(settings.model),
                settings.encoding,
                parse_tags(settings.tags, least=1),
                parse_columns(settings.columns),
            ),
            allow_outside=settings.allow_outside,
        )
    except (ResultsError, ValueError) as error:  # of data or model: messages for the user
        return fail([str(error)])
    for note in notes:
        sys.stderr.write(f"note: {note}\n")
    _show(make_console(highlight=False), tested)
    return 0 if settings.out is None else _write(settings.out, tested)


def _write(out: Path, tested: TestScores) -> int:
    from analysis.run_folder.io import write_json  # noqa: PLC0415 - after the cheap checks
    from analysis.run_folder.records import to_json  # noqa: PLC0415 - likewise

    try:
        write_json(out, to_json(tested))
    except OSError as error:
        return fail([f"--out {out} cannot be written: {error.strerror}"], 1)
    return 0


def _show(console: Console, tested: TestScores) -> None:
    from rich.markup import escape  # noqa: PLC0415 - after the cheap checks
    from rich.table import Table  # noqa: PLC0415 - likewise

    from analysis.render.text import heading  # noqa: PLC0415 - likewise

    counts = ", ".join(f"{count:,} {name}" for name, count in tested.classes.items())
    console.print(f"{tested.pairs:,} labelled pairs: {escape(counts)}")
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("")
    for name in ("this model", "95 % interval", "majority class"):
        table.add_column(name, justify="right")
    for name, score in tested.scores.items():
        low, high = tested.intervals[name]
        majority = f"{tested.majority[name]:.4f}" if name in tested.majority else ""
        table.add_row(escape(heading(name)), f"{score:.4f}", f"{low:.4f} to {high:.4f}", majority)
    console.print(table)
    if tested.shared:
        words = (
            f"{tested.shared:,} of them share their text or image with pairs that the model was"
            " trained on: the scores flatter"
        )
        console.print(words, style="yellow")


if __name__ == "__main__":
    print_and_exit(main)
