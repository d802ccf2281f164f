"""Vision transformers: the last block computes CLS alone, and no frozen parameter trains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from trainables.modules.blocks.cut import Cut
from trainables.modules.blocks.parameters import total_parameters

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from trainables.modules.backbones.tower import Tower
    from trainables.modules.blocks.activations import Activations


def mlp_rows(piece: Any, hidden: Activations) -> list[int]:
    """How many tokens of a sample the MLP of each block computes."""
    rows: list[int] = []

    def count(_: Any, inputs: tuple[Tensor]) -> None:
        rows.append(inputs[0].shape[1])

    hooks = [b.block.mlp.register_forward_pre_hook(count) for b in piece.layers.blocks]
    piece(hidden)
    for hook in hooks:
        hook.remove()
    return rows


@pytest.mark.parametrize(("pooling", "expected"), [("cls", [17, 1]), ("mean", [17, 17])])
def test_the_last_block_computes_the_token_that_is_read(
    towers: Mapping[str, Tower], inputs: Mapping[str, Activations], pooling: Any, expected: Any
) -> None:
    tower, cut = towers["vit"], Cut(2, pooling)
    with torch.no_grad():
        hidden = tower.prefix(cut)(inputs["image"])
        assert mlp_rows(tower.suffix(cut), hidden) == expected


def test_a_frozen_tower_reads_one_token_too(
    towers: Mapping[str, Tower], inputs: Mapping[str, Activations]
) -> None:
    with torch.no_grad():
        assert mlp_rows(towers["vit"].prefix(Cut(0)), inputs["image"]) == [17, 1]
        assert mlp_rows(towers["vit"].prefix(Cut(1)), inputs["image"]) == [17]


def test_the_final_norm_stays_frozen(towers: Mapping[str, Tower]) -> None:
    suffix = towers["vit"].suffix(Cut(1))
    assert total_parameters(suffix) - total_parameters(suffix, trainable=True) == 2 * 32


def test_cached_tokens_come_before_the_final_norm(
    towers: Mapping[str, Tower], inputs: Mapping[str, Activations]
) -> None:
    with torch.no_grad():
        tokens = towers["vit"].prefix(Cut(1))(inputs["image"]).values
        states = (
            towers["vit"]
            .model(Standard(towers["vit"])(inputs["image"].values), output_hidden_states=True)
            .hidden_states
        )
    torch.testing.assert_close(tokens, states[1], atol=1e-5, rtol=1e-5)


class Standard:
    """Pixels as the tower's model was trained on them."""

    def __init__(self, tower: Any) -> None:
        self.mean, self.std = (torch.tensor(v).view(3, 1, 1) for v in (tower.mean, tower.std))

    def __call__(self, pixels: Tensor) -> Tensor:
        return (pixels / 255 - self.mean) / self.std
