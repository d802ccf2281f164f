"""Write a run's model as an ONNX graph: `python -m search.export RUN --onnx FILE`."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from analysis.outputs import file_faults
from analysis.program import fail, print_and_exit, tell
from search.config.model_request import ModelRequest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trainables.config import Modality
    from trainables.data.sample import Sample
    from trainables.inference.export.write import Exported

_PACKAGES = ("onnx", "onnxruntime", "onnxscript")
_MOST_PAIRS = 8


@dataclass(frozen=True)
class ExportSettings(ModelRequest):
    """Write a model as an ONNX graph, from tokens and pixels to probabilities, and check it.

    FILE.json beside it says how to make its inputs and how to decide; FILE.tokenizers holds the
    files of tokenizers.
    """

    onnx: Annotated[Path, tyro.conf.arg(metavar="FILE")]
    """Where the graph goes."""

    def faults(self) -> Iterator[str]:
        """Yield one sentence per fault of the request."""
        yield from super().faults()
        if self.model == self.run and (self.run / "search.json").exists():
            yield (
                f"RUN must hold model/, got {self.run} without; if it was searched with"
                f" --no-retrain: python -m search.run --resume {self.run} --retrain"
            )
        yield from file_faults("--onnx", self.onnx)
        if missing := [name for name in _PACKAGES if importlib.util.find_spec(name) is None]:
            names, words = ", ".join(missing), " ".join(missing)
            yield f"an export needs {names} (extra onnx); pip install {words}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0, or 2 for bad input."""
    settings = tyro.cli(ExportSettings, args=arguments, prog="python -m search.export")
    if faults := list(settings.faults()):
        return fail(faults)
    # Torch is imported only now: --help and bad input answer at once.
    from analysis.run_folder.io import ResultsError  # noqa: PLC0415
    from trainables.inference.about import read_about  # noqa: PLC0415
    from trainables.inference.export.write import export_model  # noqa: PLC0415

    try:
        modality = read_about(settings.model)["modality"]
        done = export_model(settings.model, settings.onnx, _pairs(settings.run, modality))
    except (ResultsError, ValueError) as error:  # of model, graph or run: messages for the user
        return fail([str(error)])
    except OSError as error:
        return fail([f"--onnx {settings.onnx} cannot be written: {error.strerror or error}"], 1)
    _tell(done)
    return 0


def _pairs(run: Path, modality: Modality) -> list[Sample]:
    """Return some pairs of a run, as far as it kept them and their images are there."""
    from analysis.run_folder.folder import RunFolder  # noqa: PLC0415 - after the cheap checks
    from analysis.run_folder.several_models import run_that_ships  # noqa: PLC0415 - likewise
    from trainables.data.images import ImageError, open_image  # noqa: PLC0415 - likewise
    from trainables.data.sample import Sample  # noqa: PLC0415 - likewise

    folder = RunFolder(run_that_ships(run))
    if not folder.samples.exists():
        return []
    pairs: list[Sample] = []
    for kept in folder.read_samples().itertuples():
        path = Path(str(kept.image))
        try:
            if modality != "text":
                open_image(path)
        except ImageError:  # it has moved since
            continue
        pairs.append(Sample(str(kept.guid), str(kept.text), path, image_digest=""))
        if len(pairs) == _MOST_PAIRS:
            break
    return pairs


def _tell(done: Exported) -> None:
    import onnxruntime  # noqa: PLC0415 - after the cheap checks

    if done.random_backbones:
        roles = " and ".join(done.random_backbones)
        tell([f"{roles} weights were random: this model is a demonstration"])
    graph, *beside = done.files
    sys.stdout.write(f"{graph} ({graph.stat().st_size / 1e6:.1f} MB)\n")
    for path in beside:
        sys.stdout.write(f"{path}\n")
    pairs = f"{done.pairs} made-up pairs" if done.made_up else f"{done.pairs} pairs of the run"
    sys.stdout.write(
        f"checked in onnxruntime {onnxruntime.__version__} on {pairs}: probabilities differ from"
        f" the model's in float32 by {done.checked.difference:.1e} at most\n"
    )
    if done.checked.rounding:
        sys.stdout.write(
            "this model decides in fewer bits, which changes its probabilities by"
            f" {done.checked.rounding:.1e} at most\n"
        )


if __name__ == "__main__":
    print_and_exit(main)
