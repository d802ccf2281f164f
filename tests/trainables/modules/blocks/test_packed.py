"""Packed text blocks equal the library's, on padded batches, gradients included."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from trainables.modules.blocks.activations import Activations
from trainables.modules.blocks.packed import PackedTextPiece, TokenLayout, can_pack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainables.modules.backbones.tower import Tower
    from trainables.modules.blocks.cut import Pooling

LENGTHS = torch.tensor([6, 2, 4, 1])
MASKS: Mapping[str, Tensor] = {
    "padded": torch.arange(6) < LENGTHS[:, None],
    "whole": torch.ones(4, 6, dtype=torch.bool),
}


def hidden_states() -> Tensor:
    return torch.randn(4, 6, 32, generator=torch.Generator().manual_seed(3))


def blocks_of(towers: Mapping[str, Tower], family: str, count: int) -> list[Any]:
    return list(towers[family].model.encoder.layer)[-count:]


def library(blocks: list[Any], pooling: Pooling, hidden: Tensor, mask: Tensor) -> Tensor:
    """Run the library's blocks over the padded rectangle, and pool by hand."""
    attended = mask[:, None, None, :].expand(-1, 1, mask.shape[1], -1)
    for block in blocks:
        hidden = block(hidden, attended)
    if pooling == "cls":
        return hidden[:, 0]
    return torch.stack([row[real].mean(dim=0) for row, real in zip(hidden, mask, strict=True)])


def with_gradients(embedding: Tensor, hidden: Tensor, blocks: list[Any]) -> list[Tensor]:
    weights = torch.linspace(-1, 1, embedding.numel()).view_as(embedding)
    parameters = [parameter for block in blocks for parameter in block.parameters()]
    return [
        embedding.detach(),
        *torch.autograd.grad((embedding * weights).sum(), [hidden, *parameters]),
    ]


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("pooling", ["cls", "mean"])
@pytest.mark.parametrize(("family", "count"), [("bert", 1), ("bert", 3), ("roberta", 2)])
def test_packed_blocks_equal_those_of_the_library(
    towers: Mapping[str, Tower], family: str, count: int, pooling: Pooling, mask: str
) -> None:
    blocks = blocks_of(towers, family, count)
    hidden = hidden_states().requires_grad_()
    packed = PackedTextPiece(blocks, pooling).eval()
    for block in blocks:
        block.requires_grad_(requires_grad=True)
    got = with_gradients(packed(Activations(hidden, MASKS[mask])).values, hidden, blocks)
    wanted = with_gradients(library(blocks, pooling, hidden, MASKS[mask]), hidden, blocks)
    for block in blocks:
        block.requires_grad_(requires_grad=False)
    # Output, hidden states, and 16 parameters a block: query, key, value, output, MLP, two norms.
    assert len(got) == 2 + 16 * count
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)
    assert got[1].abs().max() > 1e-2


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_padding_has_no_say_and_gets_no_gradient(
    towers: Mapping[str, Tower], pooling: Pooling
) -> None:
    packed = PackedTextPiece(blocks_of(towers, "bert", 2), pooling).eval()
    hidden, mask = hidden_states(), MASKS["padded"]
    noisy = (hidden + 10 * ~mask[..., None]).requires_grad_()
    embedding = packed(Activations(noisy, mask)).values
    assert torch.equal(embedding, packed(Activations(hidden, mask)).values)
    (gradient,) = torch.autograd.grad(embedding.square().sum(), [noisy])
    assert (gradient[~mask] == 0).all()


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_no_mask_means_that_every_token_is_real(
    towers: Mapping[str, Tower], pooling: Pooling
) -> None:
    packed = PackedTextPiece(blocks_of(towers, "bert", 1), pooling).eval()
    unmasked = packed(Activations(hidden_states())).values
    assert torch.equal(unmasked, packed(Activations(hidden_states(), MASKS["whole"])).values)


def test_dropout_works_in_training_only(towers: Mapping[str, Tower]) -> None:
    packed = PackedTextPiece(blocks_of(towers, "bert", 1), "cls")
    batch = Activations(hidden_states(), MASKS["padded"])
    assert not torch.equal(packed.train()(batch).values, packed(batch).values)
    assert torch.equal(packed.eval()(batch).values, packed(batch).values)


def test_a_packing_says_where_the_real_tokens_are() -> None:
    layout = TokenLayout.of(torch.tensor([[True, True, False], [True, False, False]]))
    assert layout.places.tolist() == [0, 1, 3, *[0] * 29]
    assert layout.texts.tolist() == [0, 0, 1]
    assert layout.firsts.tolist() == [0, 2]
    assert layout.lengths.tolist() == [2, 1]
    packed = torch.tensor([[1.0], [2.0], [3.0], *[[7.0]] * 29])
    assert layout.pad(packed).tolist() == [[[1.0], [2.0], [0.0]], [[3.0], [0.0], [0.0]]]
    assert layout.mean(packed).tolist() == [[1.5], [3.0]]


@pytest.mark.parametrize("tokens", [1, 31, 32, 33])
def test_packed_tokens_come_in_few_numbers(tokens: int) -> None:
    layout = TokenLayout.of(torch.ones(1, tokens, dtype=torch.bool))
    assert len(layout.places) == (64 if tokens == 33 else 32)
    assert layout.places[:tokens].tolist() == list(range(tokens))


def test_blocks_of_berts_make_can_be_packed(towers: Mapping[str, Tower]) -> None:
    assert can_pack(towers["bert"].model.encoder.layer[0])
    assert can_pack(towers["roberta"].model.encoder.layer[0])


def test_blocks_of_another_make_cannot_be_packed(towers: Mapping[str, Tower]) -> None:
    crossed = BertConfig(
        hidden_size=8,
        num_attention_heads=2,
        num_hidden_layers=1,
        is_decoder=True,
        add_cross_attention=True,
    )
    assert not can_pack(BertModel(crossed).encoder.layer[0])
    assert not can_pack(towers["distilbert"].model.transformer.layer[0])
    assert not can_pack(towers["vit"].model.layers[0])
    assert not can_pack(nn.Linear(1, 1))


def test_a_packing_is_traced_for_any_number_of_tokens() -> None:
    class Packing(nn.Module):
        def forward(self, hidden: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
            layout = TokenLayout.of(mask)
            packed = hidden.flatten(0, 1)[layout.places]
            return layout.pad(packed), layout.mean(packed)

    sizes = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    example = hidden_states(), MASKS["padded"]
    traced = torch.export.export(Packing(), example, dynamic_shapes=(sizes, sizes), strict=False)
    lengths = torch.tensor([9, 1, 3, 9, 8, 2, 7])
    hidden, mask = torch.randn(7, 9, 32), torch.arange(9) < lengths[:, None]
    for got, wanted in zip(traced.module()(hidden, mask), Packing()(hidden, mask), strict=True):
        torch.testing.assert_close(got, wanted)
