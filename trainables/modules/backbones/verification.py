"""Check that a loaded tower, cut between its blocks, gives what the library's own forward gives.

Cutting makes assumptions about a model family: how its blocks are called, what comes before the
first and after the last. Attribute names do not prove them; running a few inputs does.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import torch

from trainables.modules.backbones.families import names_of
from trainables.modules.backbones.image_towers import ImageTower
from trainables.modules.backbones.loading import first_line
from trainables.modules.backbones.text_tower import TextTower
from trainables.modules.backbones.vision_transformer import VisionTransformerTower
from trainables.modules.backbones.weights import WeightsError
from trainables.modules.blocks.cut import Cut

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from trainables.modules.backbones.families import Kind
    from trainables.modules.backbones.tower import Tower
    from trainables.modules.blocks.activations import Activations
    from trainables.modules.blocks.cut import Pooling

# Tolerance relative to the largest value: summing in another order gives such differences.
_NOISE = 1e-3

AnyTower = TypeVar("AnyTower", bound="Tower")


def verified(tower: AnyTower) -> AnyTower:
    """Check that a tower equals the library's model wherever it is cut.

    If opening its blocks changes the output, the library runs them; if folding its batch norms
    does, they stay.

    Returns:
        The same tower.

    Raises:
        WeightsError: If it cannot be cut.
    """
    with torch.no_grad(), _one_thread():
        fault = _fault(tower)
        if fault and isinstance(tower, TextTower) and tower.packs:
            tower.packs = False
            fault = _fault(tower)
        if fault and isinstance(tower, ImageTower) and tower.folds:
            tower.folds = False
            fault = _fault(tower)
        if fault and isinstance(tower, VisionTransformerTower) and tower.opens:
            tower.opens = False
            fault = _fault(tower)
    if fault:
        kind: Kind = "pair" if tower.joint else "image" if tower.role == "image" else "text"
        msg = (
            f"backbone {tower.backbone}: {tower.source} is a {type(tower.model).__name__}, which "
            f"cannot be cut between its blocks ({fault}); take one of "
            f"{names_of(kind)}, or of their kin"
        )
        raise WeightsError(msg)
    return tower


@contextmanager
def _one_thread() -> Iterator[None]:
    """Use one thread: on so few tokens, several only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _fault(tower: Tower) -> str | None:
    """Describe how a tower differs from the library's model, or why it cannot be run."""
    inputs = tower.probe()
    try:
        wanted = {pooling: tower.uncut(inputs, pooling) for pooling in tower.poolings}
        for cut, pooling, got in _embeddings(tower, inputs):
            error = (got - wanted[pooling]).abs().max()
            if not error <= _NOISE * wanted[pooling].abs().max():
                return f"it says something else with {cut.unfrozen_layers} of them open"
    except Exception as error:  # noqa: BLE001 - an unsupported family may fail in any way
        return f"{type(error).__name__}: {first_line(error)}"
    return None


def _embeddings(tower: Tower, inputs: Activations) -> Iterator[tuple[Cut, Pooling, Tensor]]:
    """Embed with no, few and all blocks unfrozen, from hidden states that passed every cut.

    This covers all depths: each block has then run alone, after a cut, and in a chain of all.

    Yields:
        The cut, the pooling, and the embeddings (B, D).
    """
    *_, last = tower.poolings
    yield Cut(0), last, tower.prefix(Cut(0, last))(inputs).values
    hidden, start = inputs, None
    for unfrozen in range(tower.depth, 0, -1):
        cut = Cut(unfrozen)
        hidden = tower.segment(start, cut)(hidden)
        poolings = {tower.depth: (last,), 2: (last,), 1: tower.poolings}.get(unfrozen, ())
        for pooling in poolings:
            yield cut, pooling, tower.segment(cut, Cut(0, pooling))(hidden).values
        start = cut
