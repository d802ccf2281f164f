"""How far is each family of backbones, cut at every depth, from its library's own model?

    python -m tests.benchmarks.families

Small random models, loaded as from the hub. Differences are the largest over all cuts and ways to
pool, relative to the largest value: of embeddings, and of gradients of what is unfrozen; and of
the probabilities of a classifier on it that is exported and run by onnxruntime, not relative.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from analysis.program import make_console
from tests.trainables.modules.comparison import compare
from tests.trainables.modules.conftest import batches
from tests.trainables.modules.layouts import FAMILY_LAYOUTS, made, save
from trainables.config import InputSettings
from trainables.evaluation.decision import DecisionRule
from trainables.inference.export.write import export_model
from trainables.inference.model_folder import Member, save_model
from trainables.modules.backbones.families import FAMILIES
from trainables.modules.backbones.pretrained import load_image_tower, load_text_tower
from trainables.modules.blocks.cut import Cut
from trainables.variants import VARIANTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainables.config import Role
    from trainables.modules.backbones.families import Family


class Row(NamedTuple):
    """A family: largest differences, cuts tried, and what its last block computes."""

    family: str
    outputs: float
    gradients: float
    exported: float
    cuts: str
    pooled: str
    computes: str


def row_of(family: Family, folder: Path) -> Row:
    """Load a small model of a family and compare it at every cut."""
    model = made(FAMILY_LAYOUTS[family.name])
    is_text = family.kind == "text"
    source = save(model, folder)
    tower: Any = (load_text_tower if is_text else load_image_tower)(source)
    tower.folds = False  # compared is the cut; a folded batch norm rounds otherwise
    wraps = hasattr(model, "timm_model")
    base = model if wraps else getattr(model, model.base_model_prefix, model)
    found = [
        compare(base, tower, batches()[tower.role], Cut(unfrozen, pooling))
        for pooling in tower.poolings
        for unfrozen in range(tower.depth + 1)
    ]
    return Row(
        family.name,
        max(one.outputs for one in found),
        max(one.gradients for one in found),
        _exported("text" if is_text else "image", source, folder / "classifier"),
        f"0 to {tower.depth}",
        ", ".join(tower.poolings),
        _computed(tower, is_text=is_text),
    )


def _exported(role: Role, source: str, folder: Path) -> float:
    """Export a classifier on a backbone; return how far its probabilities are from its own."""
    variant = VARIANTS["early_fusion"]
    towers = variant.load_towers({role: source}, role)
    config = replace(variant.hand_tuned, text_unfrozen_layers=1, image_unfrozen_layers=1)
    member = Member(config, variant.build(config, towers))
    inputs = InputSettings(text_length=12, image_size=64)
    save_model(folder, variant, inputs, towers, [member], DecisionRule(0.0))
    return export_model(folder, folder.with_name("classifier.onnx")).checked.difference


def _computed(tower: Any, *, is_text: bool) -> str:
    if is_text:
        return "real tokens, or CLS alone" if tower.packs else "all tokens, padded"
    if not getattr(tower, "opens", False):
        return "feature maps"
    return "all tokens" if tower._head is not None else "all tokens, or CLS alone"


def rows() -> Iterator[Row]:
    """Compare every family that is a backbone alone."""
    for family in FAMILIES:
        if family.name in FAMILY_LAYOUTS:
            with TemporaryDirectory() as folder:
                yield row_of(family, Path(folder))


def main() -> None:
    """Print the table, and one line of JSON."""
    torch.set_num_threads(1)
    console = make_console()
    console.print("| " + " | ".join(Row._fields) + " |")
    console.print("|---|--:|--:|--:|---|---|---|")
    measured = []
    for row in rows():
        measured.append(row)
        differences = [f"{value:.0e}" if value else "0" for value in row[1:4]]
        console.print("| " + " | ".join([row.family, *differences, *row[4:]]) + " |")
    console.print(json.dumps([row._asdict() for row in measured]))


if __name__ == "__main__":
    main()
