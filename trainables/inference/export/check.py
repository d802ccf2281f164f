"""Run an exported graph in onnxruntime beside the model that it was made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import onnxruntime
from PIL import Image

from trainables.data.sample import Sample
from trainables.inference.export.graph import CALIBRATED, PROBABILITIES, ExportError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from trainables.inference.export.inputs import GraphInputs
    from trainables.inference.predictor import Predictor

TOLERANCE = 1e-4
"""How far a probability may be from the model's own in float32."""

_TEXTS = (
    "",
    "sad :(",
    "What a LOVELY day by the river! https://x.co #sunny",
    "RT @user: not so good, is it? I waited two hours, it rained, and then they closed. " * 4,
)
_SIZES = ((64, 64), (37, 91), (300, 200), (640, 480))


class Checked(NamedTuple):
    """How an exported graph compares with its model.

    Attributes:
        difference: The largest difference of a probability, both in float32.
        rounding: The same between the model in float32 and in the precision that it decides in;
            0 where that is float32.
    """

    difference: float
    rounding: float


def check(path: Path, predictor: Predictor, samples: Sequence[Sample]) -> Checked:
    """Compare a graph with its model: samples of all lengths together, and the first alone.

    Args:
        path: The graph.
        predictor: The model, on the CPU.
        samples: N >= 2 samples.

    Returns:
        The comparison.

    Raises:
        ExportError: If they differ by more than `TOLERANCE`, or onnxruntime cannot run the graph.
    """
    ours = predictor.probabilities(samples, "float32")
    shown = predictor.rule.calibrate(ours)
    inputs = predictor.graph().inputs
    difference = 0.0
    for count in (len(samples), 1):
        got = _run(path, inputs, samples[:count])
        for theirs, expected in ((got[0], ours), (got[1], shown)):
            difference = max(difference, _largest(theirs, expected[:count]))
    if not difference <= TOLERANCE:  # nor is NaN
        msg = (
            f"the exported graph must give the model's probabilities within {TOLERANCE:g}, got a"
            f" difference of {difference:.2g}: nothing was written"
        )
        raise ExportError(msg)
    return Checked(difference, _largest(predictor.probabilities(samples), ours))


def _run(path: Path, inputs: GraphInputs, samples: Sequence[Sample]) -> list[Any]:
    given = {name: values.numpy() for name, values in inputs.of(samples).items()}
    try:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        outputs: list[Any] = session.run([PROBABILITIES, CALIBRATED], given)
    except Exception as error:  # of its own types, all of which mean that it cannot be run
        msg = f"onnxruntime cannot run the exported graph, so nothing was written: {error}"
        raise ExportError(msg) from error
    return outputs


def _largest(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    return float(np.abs(one - other).max())


def made_up(folder: Path) -> list[Sample]:
    """Make samples of short and long texts with images of noise, which are written to a folder."""
    random = np.random.default_rng(0)
    samples = []
    for index, (text, (width, height)) in enumerate(zip(_TEXTS, _SIZES, strict=True)):
        path = folder / f"{index}.png"
        Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(path)
        samples.append(Sample(str(index), text, path, image_digest=""))
    return samples
