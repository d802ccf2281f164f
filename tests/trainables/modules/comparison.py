"""How far a tower, cut somewhere, is from the library's uncut model, in outputs and gradients."""

from __future__ import annotations

import copy
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from tests.trainables.modules.references import blocks_of, reference_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trainables.modules.blocks.activations import Activations
    from trainables.modules.blocks.cut import Cut


class Difference(NamedTuple):
    """Largest differences, relative to the largest value of the library's own."""

    outputs: float
    gradients: float


def compare(base: Any, tower: Any, inputs: Activations, cut: Cut) -> Difference:
    """Compare a cut tower with the library's base model, of which it was loaded."""
    suffix = tower.suffix(cut).eval()
    with torch.no_grad():
        hidden = tower.prefix(cut)(inputs)
    got = suffix(hidden).values
    uncut = copy.copy(tower)
    uncut.model = base.requires_grad_(requires_grad=False)
    blocks = blocks_of(base)
    trained = blocks[len(blocks) - cut.unfrozen_layers :] if cut.unfrozen_layers else []
    again = len(blocks) < tower.depth  # as ALBERT's few blocks run
    if again:
        trained = list(blocks)
    for modules in trained:
        nn.ModuleList(modules).requires_grad_(requires_grad=True)
    first = tower.depth - cut.unfrozen_layers
    with _cut_before(blocks if again else [], first) as order:
        wanted = reference_of(base)(uncut, inputs, cut.pooling)
    outputs = relative([got], [wanted])
    if not cut.unfrozen_layers:
        return Difference(outputs, 0.0)
    weighted_sum(got).backward()
    weighted_sum(wanted).backward()
    modules = order or [module for modules in trained for module in modules]
    library = [p.grad for p in nn.ModuleList(modules).parameters()]
    ours = [p.grad for p in suffix.parameters() if p.requires_grad]
    base.zero_grad()
    assert all(p.grad is None for p in suffix.parameters() if not p.requires_grad)
    return Difference(outputs, relative(ours, library))


@contextmanager
def _cut_before(blocks: Sequence[Any], first: int) -> Iterator[list[nn.Module]]:
    """Let no gradient pass before blocks have run `first` times together.

    Yields:
        The blocks that ran after that, filled as they run, each once.
    """
    runs = 0
    order: list[nn.Module] = []

    def detach(block: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        nonlocal runs
        runs += 1
        if runs > first and block not in order:
            order.append(block)
        return (inputs[0].detach(), *inputs[1:]) if runs <= first + 1 else inputs

    hooks = [modules[0].register_forward_pre_hook(detach) for modules in blocks]
    try:
        yield order
    finally:
        for hook in hooks:
            hook.remove()


def weighted_sum(embedding: Tensor) -> Tensor:
    """A loss to which every entry of the embedding matters differently."""
    weights = torch.randn(embedding.shape, generator=torch.Generator().manual_seed(2))
    return (embedding * weights).sum()


def relative(ours: list[Any], theirs: list[Any]) -> float:
    """Return the largest difference, relative to the largest value of theirs."""
    scale = max(float(wanted.detach().abs().max()) for wanted in theirs if wanted is not None)
    assert scale > 1e-3, "all is nothing, and proves nothing"
    worst = 0.0
    for got, wanted in zip(ours, theirs, strict=True):
        if wanted is None or got is None:
            assert wanted is None, "trained by the library alone"
            assert got is None, "trained by us alone"
            continue
        worst = max(worst, float((got - wanted).detach().abs().max()) / scale)
    return worst
