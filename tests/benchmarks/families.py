"""How far is each family of backbones, cut at every depth, from its library's own model?

    python -m tests.benchmarks.families

Small random models, loaded as from the hub. Differences are the largest over all cuts and ways to
pool, relative to the largest value: of embeddings, and of the gradients of what is unfrozen.
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from analysis.program import make_console
from tests.trainables.modules.comparison import compare
from tests.trainables.modules.conftest import batches
from tests.trainables.modules.layouts import FAMILY_LAYOUTS, made, save
from trainables.modules.backbones.families import FAMILIES
from trainables.modules.backbones.pretrained import load_image_tower, load_text_tower
from trainables.modules.blocks.cut import Cut

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainables.modules.backbones.families import Family


class Row(NamedTuple):
    """A family: largest relative differences, cuts tried, and what its last block computes."""

    family: str
    outputs: float
    gradients: float
    cuts: str
    pooled: str
    computes: str


def row_of(family: Family, folder: Path) -> Row:
    """Load a small model of a family and compare it at every cut."""
    model = made(FAMILY_LAYOUTS[family.name])
    is_text = family.kind == "text"
    tower: Any = (load_text_tower if is_text else load_image_tower)(save(model, folder))
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
        f"0 to {tower.depth}",
        ", ".join(tower.poolings),
        _computed(tower, is_text=is_text),
    )


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
    console.print("|---|--:|--:|---|---|---|")
    measured = []
    for row in rows():
        measured.append(row)
        outputs, gradients = (
            f"{value:.0e}" if value else "0" for value in (row.outputs, row.gradients)
        )
        console.print("| " + " | ".join([row.family, outputs, gradients, *row[3:]]) + " |")
    console.print(json.dumps([row._asdict() for row in measured]))


if __name__ == "__main__":
    main()
