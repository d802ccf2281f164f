"""Layers before the last, pooled as by hand from the library's own `output_hidden_states`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from tests.conftest import SHARED
from trainables.modules.backbones.pretrained import load_text_tower
from trainables.modules.blocks.cut import POOLED_LAYERS, Cut

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from trainables.modules.backbones.tower import Tower
    from trainables.modules.blocks.activations import Activations
    from trainables.modules.blocks.cut import Layers, Pooling

MINILM = SHARED / "weights" / "all-MiniLM-L6-v2"
every_layer = pytest.mark.parametrize("layers", POOLED_LAYERS)
every_pooling = pytest.mark.parametrize("pooling", ["cls", "mean"])


def by_hand(tower: Tower, inputs: Activations, pooling: Pooling, layers: Layers) -> Tensor:
    assert inputs.mask is not None
    asked: dict[str, Any] = {"attention_mask": inputs.mask.long(), "output_hidden_states": True}
    states = tower.model(input_ids=inputs.values, **asked).hidden_states

    def pooled(back: int) -> Tensor:
        hidden = states[-1 - back]
        if pooling == "cls":
            return hidden[:, 0]
        rows = zip(hidden, inputs.mask, strict=True)  # type: ignore[call-overload] # not None
        return torch.stack([row[mask].mean(dim=0) for row, mask in rows])

    match layers:
        case "last":
            return pooled(0)
        case "third_last":
            return pooled(2)
        case "both":
            return torch.cat([pooled(0), pooled(2)], dim=-1)
        case "last_four":
            return (pooled(0) + pooled(1) + pooled(2) + pooled(3)) / 4


@every_layer
@every_pooling
@torch.no_grad()
def test_layers_are_pooled_as_by_hand(
    towers: Mapping[str, Tower],
    inputs: Mapping[str, Activations],
    pooling: Pooling,
    layers: Layers,
) -> None:
    tower, cut = towers["bert"], Cut(0, pooling, layers=layers)
    wanted = by_hand(tower, inputs["text"], pooling, layers)
    got = tower.prefix(cut)(inputs["text"])
    torch.testing.assert_close(got.values, wanted, atol=1e-5, rtol=1e-5)
    assert got.values.shape == (5, tower.width_at(cut))
    assert torch.equal(tower.suffix(cut)(got).values, got.values)
    for start in (Cut(3), Cut(tower.depth)):
        hidden = tower.prefix(start)(inputs["text"])
        chained = tower.segment(start, cut)(hidden).values
        torch.testing.assert_close(chained, wanted, atol=1e-5, rtol=1e-5)


@every_layer
@torch.no_grad()
def test_layers_of_a_pretrained_encoder_are_pooled_as_by_hand(layers: Layers) -> None:
    if not MINILM.is_dir():
        pytest.skip(f"the weights of MiniLM are not at {MINILM}")
    tower = load_text_tower(str(MINILM))
    got = tower.prefix(Cut(0, "mean", layers=layers))(tower.probe()).values
    wanted = by_hand(tower, tower.probe(), "mean", layers)
    torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-5)


def test_layers_that_a_tower_has_not_are_refused(towers: Mapping[str, Tower]) -> None:
    assert towers["distilbert"].layers == ("last", "third_last", "both")
    with pytest.raises(
        ValueError,
        match=r"text_pooled_layers must be one of last, third_last, both for .* of 2 layers, got "
        "'last_four'",
    ):
        towers["distilbert"].prefix(Cut(0, layers="last_four"))
    with pytest.raises(ValueError, match=r"image_pooled_layers must be last for .* got 'both'"):
        towers["vit"].prefix(Cut(0, layers="both"))


def test_layers_make_no_difference_where_some_are_unfrozen() -> None:
    assert Cut(1, "mean", layers="both").prefix == Cut(1)
    assert Cut(1, "mean", layers="both").place == "before the last 1"
    assert len({Cut(0, "mean", layers=each).place for each in POOLED_LAYERS}) == len(POOLED_LAYERS)
    assert Cut(0, "mean").place == "pooled by mean"
