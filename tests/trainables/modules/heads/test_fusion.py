"""Heads: logits of the right shape, from the embeddings of the right roles."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from trainables.modules.blocks.parameters import total_parameters
from trainables.modules.heads.fusion import EarlyFusionHead

WIDTHS = {"text": 6, "image": 4}


def head_of(*, normalize: bool = False, dropout: float = 0.5) -> EarlyFusionHead:
    return EarlyFusionHead(WIDTHS, 5, 8, 3, dropout, normalize=normalize)


def embeddings() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(4)
    return {role: torch.randn(7, width, generator=generator) for role, width in WIDTHS.items()}


def test_a_head_has_two_projections_a_hidden_layer_and_an_output() -> None:
    assert total_parameters(head_of()) == (6 + 1) * 5 + (4 + 1) * 5 + (10 + 1) * 8 + (8 + 1) * 3


@pytest.mark.parametrize("normalize", [False, True])
def test_a_head_is_its_formula(normalize: bool) -> None:
    head, given = head_of(normalize=normalize).eval(), embeddings()
    layers: Any = head.projections
    projected = [F.linear(given[role], layers[role].weight, layers[role].bias) for role in WIDTHS]
    if normalize:
        projected = [p / p.norm(dim=1, keepdim=True) for p in projected]
    else:
        projected = [p.clamp(min=0) for p in projected]
    hidden = F.linear(torch.cat(projected, 1), head.hidden.weight, head.hidden.bias).clamp(min=0)
    expected = F.linear(hidden, head.output.weight, head.output.bias)
    assert expected.shape == (7, 3)
    torch.testing.assert_close(head(given), expected)


def test_normalized_embeddings_are_read_by_their_direction_alone() -> None:
    head, given = head_of(normalize=True).eval(), embeddings()
    for role in WIDTHS:
        torch.nn.init.zeros_(head.get_parameter(f"projections.{role}.bias"))
    scaled = {role: 9 * values for role, values in given.items()}
    torch.testing.assert_close(head(scaled), head(given))


def test_the_order_of_the_roles_given_does_not_matter() -> None:
    head, given = head_of().eval(), embeddings()
    assert torch.equal(head(dict(reversed(given.items()))), head(given))


def test_dropout_works_in_training_only() -> None:
    head, given = head_of(dropout=0.5), embeddings()
    assert not torch.equal(head.train()(given), head(given))
    assert torch.equal(head.eval()(given), head(given))
