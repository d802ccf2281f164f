"""Show what a run's model looked at: `python -m search.explain RUN --split val --count 24`.

The model needs torch, which `analysis` must not import, so the pictures are made here; then the
report is written again, with them.
"""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - the command line is made from the annotations
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import numpy as np
import tyro
from PIL import Image, ImageDraw, ImageFont, ImageOps

from analysis.outputs import folder_faults
from analysis.program import counted, fail, print_and_exit
from search.pipeline.report import write_report

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from analysis.run_folder.explanations import Explanation
    from analysis.run_folder.run import Run
    from trainables.inference.grad_cam import Attribution
    from trainables.inference.predictor import Predictor


_PACKAGE = "captum"


@dataclass(frozen=True)
class ExplainSettings:
    """Show where a run's final model looks, by Grad-CAM, and which words speak for it."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """The folder of a search that has trained its final model, or of --model all."""
    split: Literal["val", "test"] = "val"
    """val: the samples that validated the chosen trial; test: those to be predicted."""
    count: Annotated[int, tyro.conf.arg(metavar="N")] = 24
    """How many samples: of val, as many right and wrong of each class, the surest first."""

    def faults(self) -> Iterator[str]:
        """Yield one sentence per fault of the request."""
        if not self.run.is_dir():
            yield f"RUN must be a run folder: there is no folder {self.run}"
        elif not (self.run / "model").is_dir():
            yield f"RUN must hold model/, got {self.run} without; was it run with --no-retrain?"
        else:
            yield from folder_faults("RUN", self.run / "explanations")
        if self.count < 1:
            yield f"--count must be >= 1, got {self.count}"
        if importlib.util.find_spec(_PACKAGE) is None:
            yield f"explanations need the package {_PACKAGE}; pip install {_PACKAGE}"


class Chosen(NamedTuple):
    """A sample to explain.

    Attributes:
        row: Its index.
        truth: Its class; None where it is not known.
        decided: The class to explain; None explains the one that the final model decides.
    """

    row: int
    truth: int | None
    decided: int | None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0, or 2 for bad input."""
    settings = tyro.cli(ExplainSettings, args=arguments, prog="python -m analysis.explain")
    faults = list(settings.faults())
    if faults:
        return fail(faults)
    # Torch is imported only now: --help and bad input answer at once.
    from analysis.run_folder.io import ResultsError  # noqa: PLC0415
    from analysis.run_folder.run import load  # noqa: PLC0415
    from analysis.run_folder.several_models import run_that_ships  # noqa: PLC0415
    from trainables.inference.predictor import Predictor  # noqa: PLC0415

    try:
        run = load(run_that_ships(settings.run))
        chosen = choose(run, settings.split, settings.count)
        predictor = Predictor(run.folder.model)
        explain(run, predictor, chosen)
    except (ResultsError, ValueError) as error:  # of the model or an image: messages for the user
        return fail([str(error)])
    sys.stdout.write(f"{counted(len(chosen), 'sample')} explained in {run.folder.explanations}\n")
    sys.stdout.write(f"{write_report(run.folder) or run.folder.report}\n")
    return 0


def choose(run: Run, split: Literal["val", "test"], count: int) -> list[Chosen]:
    """Choose the samples to explain.

    Args:
        run: The run.
        split: `val`: as many wrong as right decisions of each class, the most confident first, by
            the chosen trial's held-out predictions; `test`: the first unlabelled.
        count: How many at most.

    Returns:
        The samples.

    Raises:
        ValueError: If the run has none of that split.
    """
    from analysis.tables.samples import surest  # noqa: PLC0415 - pandas comes after the cheap checks

    samples = run.samples
    if split == "test":
        rows = [row for row, tag in enumerate(samples["tag"]) if tag != tag][:count]
        found = [Chosen(row, None, None) for row in rows]
    else:
        validated = None if run.best is None else run.validated(run.best.trial)
        places = [] if validated is None else surest(validated, count)
        assert validated is not None or not places
        found = [
            Chosen(int(validated.rows[p]), int(validated.labels[p]), int(validated.decided[p]))  # type: ignore[union-attr]  # see above
            for p in places
        ]
    if not found:
        msg = f"--split {split} must name samples that the run kept, got none in {run.folder.path}"
        raise ValueError(msg)
    return found


def explain(run: Run, predictor: Predictor, chosen: Sequence[Chosen]) -> None:
    """Explain samples, and write pictures and words into the run folder."""
    from rich.console import Console  # noqa: PLC0415 - after the cheap checks
    from rich.progress import track  # noqa: PLC0415

    from analysis.run_folder.explanations import write_explanations  # noqa: PLC0415

    explainer = predictor.explainer()
    folder = run.folder.explanations
    folder.mkdir(parents=True, exist_ok=True)
    explanations = []
    console = Console(stderr=True)
    for one in track(chosen, "explaining", console=console, disable=not console.is_terminal):
        sample = _sample(run, one.row)
        target = one.decided
        if target is None:
            target = int(predictor.rule.decide(predictor.probabilities([sample]))[0])
        found = explainer.explain(sample, target)
        explanations.append(_explanation(run, one, target, found))
    write_explanations(run.folder, explanations)


def _explanation(run: Run, one: Chosen, target: int, found: Attribution) -> Explanation:
    from analysis.run_folder.explanations import Explanation  # noqa: PLC0415 - as below
    from analysis.run_folder.io import write_whole  # noqa: PLC0415 - after the cheap checks

    names = run.classes.names
    folder, name = run.folder.explanations, None
    if found.pixels is not None and found.heat is not None:
        name = f"{one.row}.jpg"
        truth = "" if one.truth is None else f"is {names[one.truth]}, "
        caption = (
            f"{truth}predicted as {names[target]} ({found.probability:.0%} by the final model)"
        )
        over = overlay(found.pixels, found.heat)
        write_whole(folder / name, lambda path: over.save(path, "JPEG", quality=88))
        pair = side_by_side(found.pixels, found.heat, caption)
        pair_path = folder / f"{one.row}-pair.jpg"
        write_whole(pair_path, lambda path: pair.save(path, "JPEG", quality=90))
    most = max((abs(score) for _, score in found.words), default=0) or 1
    return Explanation(
        row=one.row,
        truth=None if one.truth is None else names[one.truth],
        decided=names[target],
        probability=found.probability,
        overlay=name,
        words=tuple((word, round(score / most, 4)) for word, score in found.words),
    )


def _sample(run: Run, row: int) -> Any:
    from pathlib import Path  # noqa: PLC0415 - at run time, too

    from trainables.data.sample import Sample  # noqa: PLC0415 - after the cheap checks

    kept = run.samples.iloc[row]
    image = Path(kept["image"]) if kept["image"] else None
    return Sample(str(kept["guid"]), str(kept["text"]), image, image_digest="")


# Cividis at its ends and its middle: read alike with and without colour vision.
_COLD, _MIDDLE, _HOT = "#00224e", "#7d7c78", "#fee838"
_LEAST, _MOST = 0.15, 0.75  # how much of the picture the heat covers
_SIDE, _GAP, _CAPTION = 336, 8, 30
_PAPER, _INK = "#ffffff", "#1c1f24"


def overlay(pixels: NDArray[np.uint8], heat: NDArray[np.float32]) -> Image.Image:
    """Lay a heat map (S, S), in [0, 1], over pixels (3, S, S), uint8: cold dark, hot yellow."""
    grey = Image.fromarray((255 * heat.clip(0, 1)).round().astype(np.uint8))
    colours = ImageOps.colorize(grey, black=_COLD, white=_HOT, mid=_MIDDLE)
    strength = Image.fromarray((255 * (_LEAST + (_MOST - _LEAST) * heat)).astype(np.uint8))
    return Image.composite(colours, picture(pixels), strength)


def picture(pixels: NDArray[np.uint8]) -> Image.Image:
    """Make an image of pixels (3, S, S), uint8."""
    return Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))


def side_by_side(
    pixels: NDArray[np.uint8], heat: NDArray[np.float32], caption: str
) -> Image.Image:
    """Show pixels (3, S, S) beside the same with their heat map (S, S), above a caption."""
    page = Image.new("RGB", (2 * _SIDE + _GAP, _SIDE + _CAPTION), _PAPER)
    size = (_SIDE, _SIDE)
    page.paste(picture(pixels).resize(size, Image.Resampling.BICUBIC), (0, 0))
    page.paste(overlay(pixels, heat).resize(size, Image.Resampling.BICUBIC), (_SIDE + _GAP, 0))
    font = ImageFont.load_default(size=16)
    ImageDraw.Draw(page).text((4, _SIDE + 6), caption, fill=_INK, font=font)
    return page


if __name__ == "__main__":
    print_and_exit(main)
