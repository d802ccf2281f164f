"""A model as one graph, from raw inputs to probabilities, written as ONNX.

Every member, whether trained or a regression, and the mean over members are in the graph; so are
the standardisation of pixels and the temperature. What is done before, in Python, is what
`description` says.
"""

from __future__ import annotations

import logging
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainables.evaluation.calibration import SMALLEST
from trainables.inference.export.inputs import GraphInputs
from trainables.modules.blocks.activations import Activations
from trainables.modules.blocks.piece import computing_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from trainables.inference.model_folder import Member
    from trainables.inference.shared_readings import SharedReadings

PROBABILITIES, CALIBRATED = "probabilities", "calibrated"
"""The names of the outputs."""

# A file of ONNX holds less than 2 GB; larger weights lie beside it.
_MOST_BYTES = 1_900_000_000


class ExportError(ValueError):
    """A model cannot be exported; the message says why."""


class ProbabilityGraph(nn.Module):
    """All members of a model on raw inputs, in float32.

    Args:
        reads: What the members read.
        members: The members.
        temperature: As in `DecisionRule`.

    Attributes:
        inputs: What it takes.
        towers: The towers in it, by name.
        reads: What the members read.
    """

    def __init__(
        self, reads: SharedReadings, members: Sequence[Member], temperature: float
    ) -> None:
        super().__init__()
        self.inputs = GraphInputs(reads)
        self.towers = reads.towers
        self.reads = reads
        # The exporter finds weights by module.
        self.pieces = nn.ModuleList(reads.pieces)
        self.classifiers = nn.ModuleList(member.classifier for member in members)
        total = sum(member.weight for member in members)
        self.weights = [member.weight / total for member in members]
        self.temperature = temperature

    def forward(self, given: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Compute class probabilities.

        Args:
            given: The inputs by name, of B samples.

        Returns:
            The mean over members, on which decisions are made, and the same with the temperature
            applied; each of shape (B, C), float32.
        """
        ends = {
            place: prefixes.traceable(self.inputs.read(place, given))
            for place, prefixes in self.reads.prefixes.items()
        }
        features = {name: Activations(given[name]) for name in self.inputs.views}
        batches = self.reads.by_member(ends, features)
        each = [
            weight * F.softmax(classifier(batch), dim=-1)
            for weight, classifier, batch in zip(
                self.weights, self.classifiers, batches, strict=True
            )
        ]
        mean = torch.stack(each).sum(dim=0)
        logits = mean.clamp(min=SMALLEST).log() / self.temperature
        return mean, F.softmax(logits, dim=-1)


def write_graph(graph: ProbabilityGraph, path: Path, most_bytes: int = _MOST_BYTES) -> None:
    """Write a graph as ONNX; batch and token counts of any size.

    Args:
        graph: The graph, on the CPU.
        path: The file.
        most_bytes: Weights of more bytes lie beside it, in the file of that name and `.data`.

    Raises:
        ExportError: If PyTorch cannot export it.
    """
    nbytes = sum(weight.nbytes for weight in graph.state_dict().values())
    try:
        with torch.no_grad(), _quiet(), computing_in("float32", graph.reads.pieces):
            program = torch.onnx.export(
                graph.eval(),
                kwargs={"given": graph.inputs.example()},
                input_names=graph.inputs.names,
                output_names=[PROBABILITIES, CALIBRATED],
                dynamic_shapes={"given": graph.inputs.axes},
                dynamo=True,
                verbose=False,
            )
    except Exception as error:  # of many types, all of what a graph cannot hold
        words = " ".join(str(error.__cause__ or error).split())[:300]
        names = ", ".join(dict.fromkeys(type(t.model).__name__ for t in graph.towers.values()))
        msg = f"PyTorch cannot export this model, of {names}, to ONNX: {words}"
        raise ExportError(msg) from error
    assert program is not None
    program.save(str(path), external_data=nbytes > most_bytes)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's notes on itself away."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
