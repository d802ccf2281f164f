"""Classify new pairs with a run's model: `python -m search.predict RUN --text ... --image ...`."""

from __future__ import annotations

import csv
import io
import sys
from dataclasses import dataclass, replace
from pathlib import Path  # noqa: TC003 - tyro reads the annotations
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from analysis.outputs import file_faults
from analysis.program import fail, make_console, print_and_exit
from search.config.model_request import ModelRequest
from search.config.settings import ColumnWords, unset
from trainables.config import ROLES
from trainables.data.encodings import encoding_faults
from trainables.data.files import is_there
from trainables.data.rows.columns import column_faults, parse_columns

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from trainables.config import Missing, Modality
    from trainables.data.sample import Sample
    from trainables.evaluation.classes import Classes
    from trainables.inference.predictor import Prediction

_LEAST_WIDTH = 9  # of the names of classes
_ASKED = {
    "both": "one pair by --text TEXT and --image FILE",
    "text": "one text by --text TEXT",
    "image": "one image by --image FILE",
}


@dataclass(frozen=True)
class PredictSettings(ModelRequest):
    """Classify image-text pairs with a run's model."""

    text: Annotated[str | None, unset("TEXT", "none")] = None
    """The text of one pair."""
    image: Annotated[Path | None, unset("FILE", "none")] = None
    """The image of one pair."""
    data: Annotated[Path | None, unset("DIR", "none")] = None
    """Many pairs: a folder of GUID.txt and GUID.jpg, a data set (the unlabelled), or a table."""
    allow_outside: tyro.conf.FlagCreatePairsOff[bool] = False
    """Take files outside the folder of the data too, by links, .. and absolute paths."""
    columns: ColumnWords = ()
    """Columns that the list calls otherwise, such as guid=id,tag=label."""
    encoding: Annotated[str | None, unset("NAME", "that of the search, where it fits")] = None
    """Encoding of texts of --data that are no UTF-8, such as gb18030 or cp1252."""
    out: Annotated[Path | None, unset("FILE", "the terminal")] = None
    """Where the table of many pairs goes."""
    spreadsheet_safe: tyro.conf.FlagCreatePairsOff[bool] = False
    """Put an apostrophe before a guid that a spreadsheet would run as a formula."""

    def faults(self) -> Iterator[str]:
        """Yield one sentence per fault of the request."""
        yield from super().faults()
        if self.data is None and self.text is None and self.image is None:
            yield f"give {_ASKED['both']}, or many by --data DIR"
        if self.data is not None and (self.text is not None or self.image is not None):
            yield "give --data or --text with --image, not both"
        if self.data is None and self.out is not None:
            yield "--out goes with --data"
        yield from column_faults(self.columns)
        yield from encoding_faults(self.encoding)
        for flag, path in (("--image", self.image), ("--data", self.data)):
            if path is not None and not is_there(path):
                yield f"{flag} must exist, got {path}"
        if self.out is not None:
            yield from file_faults("--out", self.out)

    def modality_faults(self, modality: Modality, missing: Missing) -> Iterator[str]:
        """Yield a sentence if a single pair lacks what the model reads, or has more."""
        given = {"text": self.text, "image": self.image}
        roles = [role for role, value in given.items() if value is not None]
        if missing == "allow" and modality == "both":
            return
        if self.data is None and roles != list(ROLES[modality]):
            what = "both" if modality == "both" else f"{modality} only"
            yield f"this model reads {what}: give {_ASKED[modality]}, or many by --data DIR"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0, or 2 for bad input."""
    settings = tyro.cli(PredictSettings, args=arguments, prog="python -m search.predict")
    faults = list(settings.faults())
    if faults:
        return fail(faults)
    from trainables.inference.about import read_about  # noqa: PLC0415 - after the cheap checks

    try:
        about = read_about(settings.model)
        missing = about["inputs"].get("missing", "refuse")
        if faults := list(settings.modality_faults(about["modality"], missing)):
            return fail(faults)
        # Torch is imported only now: --help and bad input answer at once.
        from trainables.inference.predictor import Predictor  # noqa: PLC0415

        samples = _samples(settings, about)
        predictor = Predictor(settings.model)
        predictions = predictor.predict(samples)
    except ValueError as error:  # of data, image or model: messages for the user
        return fail([str(error)])
    if predictor.random_backbones:
        roles = " and ".join(predictor.random_backbones)
        sys.stderr.write(f"note: {roles} weights were random: this model is a demonstration\n")
    if settings.data is None:
        _show(predictions[0], predictor.classes)
        return 0
    return _hand_over(_table(predictions, predictor.classes, settings), settings.out)


def _hand_over(table: str, out: Path | None) -> int:
    from analysis.run_folder.io import write_text  # noqa: PLC0415 - after the cheap checks

    if out is None:
        sys.stdout.write(table)
        return 0
    try:
        write_text(out, table)
    except OSError as error:  # the predictions are made: do not lose them
        sys.stdout.write(table)
        return fail([f"--out {out} cannot be written: {error.strerror}; printed instead"], 1)
    return 0


def _samples(settings: PredictSettings, about: Mapping[str, Any]) -> Sequence[Sample]:
    from trainables.data.corpus import Allowed, load_pairs  # noqa: PLC0415 - after the cheap checks
    from trainables.data.images import open_image  # noqa: PLC0415 - likewise
    from trainables.data.sample import Sample  # noqa: PLC0415 - likewise
    from trainables.inference.about import spelling_in  # noqa: PLC0415 - likewise

    if settings.data is not None:
        spelling = spelling_in(about, settings.encoding, columns=parse_columns(settings.columns))
        corpus = load_pairs(
            settings.data,
            allowed=Allowed(settings.allow_outside, about["inputs"].get("missing", "refuse")),
            modality=about["modality"],
            spelling=replace(spelling, tagging=replace(spelling.tagging, ignored=True)),
        )
        for note in corpus.notes:
            sys.stderr.write(f"note: {note}\n")
        return corpus.unlabelled or corpus.labelled
    if settings.image is not None:
        open_image(settings.image)
    # What the model does not read is never looked at.
    return [Sample("pair", settings.text or "", settings.image, image_digest="")]


def _show(prediction: Prediction, classes: Classes) -> None:
    from rich.markup import escape  # noqa: PLC0415 - likewise

    console = make_console(highlight=False)
    console.print(f"[bold]{escape(prediction.tag)}[/]")
    width = max(_LEAST_WIDTH, *(len(tag) + 1 for tag in classes.names))
    for tag, probability in zip(classes.names, prediction.probabilities, strict=True):
        bar = "━" * round(30 * probability)
        console.print(f"  {escape(f'{tag:<{width}}')}{probability:6.1%}  [cyan]{bar}[/]")


def _table(predictions: Sequence[Prediction], classes: Classes, settings: PredictSettings) -> str:
    from analysis.run_folder.io import spreadsheet_safe  # noqa: PLC0415 - likewise

    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["guid", "tag", *classes.names])
    for guid, probabilities, tag in predictions:
        name = spreadsheet_safe(guid) if settings.spreadsheet_safe else guid
        table.writerow([name, tag, *(f"{p:.6f}" for p in probabilities)])
    return text.getvalue()


if __name__ == "__main__":
    print_and_exit(main)
