"""Heads: logits of the right shape, from the embeddings of the right roles."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from trainables.modules.blocks.parameters import total_parameters
from trainables.modules.heads.fusion import EarlyFusionHead, Fusion, JointHead

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


EMBEDDINGS = {"text": torch.tensor([[3.0, 4.0]]), "image": torch.tensor([[0.0, 2.0]])}


def fused(fusion: Fusion, normalize: bool, **changes: Any) -> list[float]:
    """What the hidden layer reads."""
    head = JointHead({"text": 2, "image": 2}, 5, 3, 0.0, fusion=fusion, normalize=normalize)
    seen: list[list[float]] = []
    head.hidden.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][0].tolist()))
    logits = head(EMBEDDINGS | changes)
    assert logits.shape == (1, 3)
    return seen[0]


def test_embeddings_are_added() -> None:
    assert fused("add", False) == [3.0, 6.0]


def test_embeddings_are_laid_end_to_end_text_first() -> None:
    assert fused("concat", False) == [3.0, 4.0, 0.0, 2.0]


def test_embeddings_are_scaled_to_unit_length_before() -> None:
    assert fused("concat", True) == pytest.approx([0.6, 0.8, 0.0, 1.0])
    assert fused("add", True) == pytest.approx([0.6, 1.8])


def test_one_embedding_stands_alone() -> None:
    for fusion in ("add", "concat"):
        head = JointHead({"image": 2}, 5, 3, 0.0, fusion=fusion, normalize=False)
        assert head({"image": EMBEDDINGS["image"]}).shape == (1, 3)


def test_a_hidden_layer_is_between_two_linear_maps() -> None:
    head = JointHead({"text": 2, "image": 2}, 2, 3, 0.0, fusion="add", normalize=False)
    with torch.no_grad():
        head.hidden.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, -1.0]]))
        head.hidden.bias.zero_()
        head.output.weight.copy_(torch.tensor([[1.0, 5.0], [2.0, 5.0], [3.0, 5.0]]))
        head.output.bias.copy_(torch.tensor([0.5, 0.0, 0.0]))
    # (3, 6) -> (3, -6) -> relu (3, 0)
    assert head(EMBEDDINGS).tolist() == [[3.5, 6.0, 9.0]]


def test_dropout_is_on_the_hidden_layer_in_training_only() -> None:
    head = JointHead({"text": 2, "image": 2}, 64, 3, 0.5, fusion="add", normalize=False)
    assert not torch.equal(head(EMBEDDINGS), head(EMBEDDINGS))
    head.eval()
    assert torch.equal(head(EMBEDDINGS), head(EMBEDDINGS))


@pytest.mark.parametrize(
    ("fusion", "hidden", "count"),
    [
        ("add", 256, 512 * 256 + 256 + 256 * 3 + 3),
        ("concat", 128, 1024 * 128 + 128 + 128 * 3 + 3),
    ],
)
def test_heads_have_the_size_of_the_lab(fusion: Fusion, hidden: int, count: int) -> None:
    head = JointHead({"text": 512, "image": 512}, hidden, 3, 0.5, fusion=fusion, normalize=False)
    assert total_parameters(head) == count
