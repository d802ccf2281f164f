"""Write a model as a graph with its description and tokenizers: all of it once it is right."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch

from trainables.inference.about import read_about
from trainables.inference.export.check import check, made_up
from trainables.inference.export.description import described, save_tokenizers
from trainables.inference.export.graph import write_graph
from trainables.inference.predictor import Predictor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainables.data.sample import Sample
    from trainables.inference.export.check import Checked

_LEAST = 2  # samples: one alone, and several together


class Exported(NamedTuple):
    """What was written.

    Attributes:
        files: The graph and what lies beside it.
        checked: How it compares with the model.
        pairs: On how many pairs.
        made_up: Whether those were made up.
        random_backbones: As in `Predictor`.
    """

    files: list[Path]
    checked: Checked
    pairs: int
    made_up: bool
    random_backbones: list[str]


def export_model(model: Path, target: Path, samples: Sequence[Sample] = ()) -> Exported:
    """Export a model, and leave nothing unless onnxruntime gives the model's probabilities.

    Args:
        model: The model folder.
        target: The graph. `.json` beside it describes how to use it, `.tokenizers` holds
            tokenizers, and `.data` the weights if they are large.
        samples: What it is checked on; where there are fewer than two, pairs are made up.

    Returns:
        What was written; what was there is replaced.

    Raises:
        ValueError: If the model cannot be loaded, exported, or run by onnxruntime to the same
            probabilities.
    """
    predictor = Predictor(model, torch.device("cpu"))
    target.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as folder,
        tempfile.TemporaryDirectory() as pictures,
    ):
        first = Path(folder, target.name)
        graph = predictor.graph()
        write_graph(graph, first)
        pairs = samples if len(samples) >= _LEAST else made_up(Path(pictures))
        checked = check(first, predictor, pairs)
        tokenizers = f"{target.name}.tokenizers"
        save_tokenizers(graph, Path(folder, tokenizers))
        record = described(graph, read_about(model), predictor.rule, tokenizers)
        text = json.dumps(record, indent=2, allow_nan=False, ensure_ascii=False)
        first.with_name(f"{target.name}.json").write_text(text + "\n", encoding="utf-8")
        files = _moved(Path(folder), target)
    return Exported(files, checked, len(pairs), pairs is not samples, predictor.random_backbones)


def _moved(folder: Path, target: Path) -> list[Path]:
    """Move all files to their places, the graph last."""
    files: list[Path] = []
    for path in sorted(folder.iterdir(), key=lambda path: (path.name == target.name, path.name)):
        place = target.with_name(path.name)
        if place.is_dir():
            shutil.rmtree(place)
        os.replace(path, place)  # noqa: PTH105 - also a folder, on every platform alike
        files.insert(0, place)
    return files
