"""Blocks that compute one token equal the library's block at that token, gradients included."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from trainables.modules.one_token import FirstTokenViTBlock, read_one_token

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from trainables.modules.tower import Tower

LENGTHS = torch.tensor([6, 2, 4, 1])
MASKS: Mapping[str, Tensor | None] = {
    "padded": (torch.arange(6) < LENGTHS[:, None])[:, None, None, :].expand(4, 1, 6, 6),
    "whole": None,
}


def hidden_states() -> Tensor:
    return torch.randn(4, 6, 32, generator=torch.Generator().manual_seed(3))


def first_token(block: Any, mask: Tensor | None) -> list[Tensor]:
    """The first token's output and the gradients of it: wrt hidden states, then parameters."""
    block.requires_grad_(requires_grad=True)
    hidden = hidden_states().requires_grad_()
    output = block(hidden, mask)[:, 0]
    weights = torch.linspace(-1, 1, output.numel()).view_as(output)
    gradients = torch.autograd.grad((output * weights).sum(), [hidden, *block.parameters()])
    block.requires_grad_(requires_grad=False)
    return [output.detach(), *gradients]


@pytest.mark.parametrize("mask", MASKS)
def test_a_one_token_block_equals_the_block_of_the_library(
    towers: Mapping[str, Tower], mask: str
) -> None:
    block = towers["vit"].model.layers[-1]
    ours = read_one_token(block).eval()
    got, wanted = first_token(ours, MASKS[mask]), first_token(block, MASKS[mask])
    assert isinstance(ours, FirstTokenViTBlock)
    # Output, hidden states, and 16 parameters: query, key, value, output, MLP, two norms.
    assert len(got) == 2 + 16
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)
    assert got[1].abs().max() > 1e-2


def test_only_the_first_token_is_computed(towers: Mapping[str, Tower]) -> None:
    ours = read_one_token(towers["vit"].model.layers[-1]).eval()
    assert ours(hidden_states()).shape == (4, 1, 32)


def test_padding_has_no_say_in_the_first_token(towers: Mapping[str, Tower]) -> None:
    ours = read_one_token(towers["vit"].model.layers[-1]).eval()
    hidden = hidden_states()
    noisy = hidden + 10 * (torch.arange(6) >= LENGTHS[:, None])[..., None]
    assert torch.equal(ours(hidden, MASKS["padded"]), ours(noisy, MASKS["padded"]))
    assert not torch.equal(ours(hidden), ours(noisy))


def test_a_block_of_another_kind_is_left_as_it_is(towers: Mapping[str, Tower]) -> None:
    block = towers["distilbert"].model.transformer.layer[-1]
    assert read_one_token(block) is block
