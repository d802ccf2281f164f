"""BLIP's text reading its image: cut anywhere, it equals the library's own text model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

from tests.trainables.modules.backbones.test_joint import KEY_BIAS, batch_of, weighted_sum
from tests.trainables.modules.joint_models import COLOURS, blip_model, save
from trainables.modules.backbones.blip import load_blip_towers
from trainables.modules.backbones.cross_attention import CrossAttentionTower, tower_for
from trainables.modules.blocks.cut import Cut

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainables.modules.backbones.tower import Tower
    from trainables.modules.blocks.activations import Activations

DEPTH = 3
CUTS = [*(Cut(k) for k in range(DEPTH + 1)), *(Cut(k, live=True) for k in range(DEPTH + 1))]
IDS = [f"{'live, ' * cut.live}{cut.unfrozen_layers}" for cut in CUTS]
each_cut = pytest.mark.parametrize("cut", CUTS, ids=IDS)


@pytest.fixture(scope="module")
def towers(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Tower]:
    return load_blip_towers(save(blip_model(), tmp_path_factory.mktemp("blip")))


@pytest.fixture(scope="module")
def tower(towers: Mapping[str, Tower]) -> Tower:
    return tower_for("pair", towers)


@pytest.fixture(scope="module")
def pairs() -> Activations:
    return batch_of("text")._replace(encoder_hidden_states=batch_of("image").values)


def reference(model: Any, pairs: Activations) -> Tensor:
    """What the library's text model says of texts that attend to the tokens of their images."""
    assert pairs.mask is not None
    assert pairs.encoder_hidden_states is not None
    mean, std = (torch.tensor(COLOURS[key]).view(3, 1, 1) for key in ("image_mean", "image_std"))
    tokens = model.vision_model((pairs.encoder_hidden_states / 255 - mean) / std).last_hidden_state
    read = model.text_model(
        pairs.values, attention_mask=pairs.mask.long(), encoder_hidden_states=tokens
    )
    projected: Tensor = model.text_projection(read.pooler_output)
    return projected


def embed(
    towers: Mapping[str, Tower], tower: Tower, cut: Cut, pairs: Activations
) -> tuple[Tensor, nn.Module]:
    assert pairs.encoder_hidden_states is not None
    suffix = tower.suffix(cut).eval()
    with torch.no_grad():
        kept = tower.prefix(cut.prefix)(pairs)
        tokens = towers["image"].prefix(Cut(0, "tokens"))(batch_of("image")).values
    embedding: Tensor = suffix(kept._replace(encoder_hidden_states=tokens)).values
    return embedding, suffix


@pytest.mark.parametrize("stop", [Cut(k) for k in range(DEPTH)], ids=range(DEPTH))
def test_one_pass_goes_on_from_every_cut_before(
    tower: Tower, pairs: Activations, stop: Cut
) -> None:
    with torch.no_grad():
        expected = tower.prefix(stop)(pairs).values
        for start in (
            Cut(0, live=True).prefix,
            *(Cut(k) for k in range(stop.unfrozen_layers + 1, DEPTH + 1)),
        ):
            got = tower.segment(start, stop)(tower.prefix(start)(pairs)).values
            torch.testing.assert_close(got, expected, atol=1e-6, rtol=1e-6)


@each_cut
def test_text_reads_its_image_as_in_the_library(
    towers: Mapping[str, Tower], tower: Tower, pairs: Activations, cut: Cut
) -> None:
    with torch.no_grad():
        expected = reference(blip_model(), pairs)
    got, _ = embed(towers, tower, cut, pairs)
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)
    assert pairs.encoder_hidden_states is not None
    flipped = pairs._replace(encoder_hidden_states=pairs.encoder_hidden_states.flip(0))
    with torch.no_grad():
        assert not torch.allclose(reference(blip_model(), flipped), expected, atol=1e-2)


@each_cut
def test_what_trains_gets_the_gradients_of_the_library(
    towers: Mapping[str, Tower], tower: Tower, pairs: Activations, cut: Cut
) -> None:
    embedding, suffix = embed(towers, tower, cut, pairs)
    weighted_sum(embedding).backward()
    model = blip_model().requires_grad_(requires_grad=False)
    blocks = list(model.text_model.encoder.layer)[DEPTH - cut.unfrozen_layers :]
    modules = nn.ModuleList([*blocks, model.text_projection]).requires_grad_(requires_grad=True)
    weighted_sum(reference(model, pairs)).backward()
    ours = [parameter for parameter in suffix.parameters() if parameter.requires_grad]
    for got, (which, wanted) in zip(ours, modules.named_parameters(), strict=True):
        assert wanted.grad is not None
        noise = 1e-5 * max(1.0, float(wanted.grad.abs().max()))
        torch.testing.assert_close(got.grad, wanted.grad, atol=noise, rtol=2e-4)
        assert wanted.grad.abs().max() > 1e-2 or which.endswith(KEY_BIAS)


def test_where_the_image_trains_its_gradient_comes_through_frozen_text_blocks(
    towers: Mapping[str, Tower], tower: Tower, pairs: Activations
) -> None:
    with torch.no_grad():
        hidden = towers["image"].prefix(Cut(1, "tokens").prefix)(batch_of("image"))
        kept = tower.prefix(Cut(0, live=True).prefix)(pairs)
    seeing = towers["image"].suffix(Cut(1, "tokens")).eval()
    reading = tower.suffix(Cut(0, live=True)).eval()
    weighted_sum(
        reading(kept._replace(encoder_hidden_states=seeing(hidden).values)).values
    ).backward()
    model = blip_model().requires_grad_(requires_grad=False)
    block = model.vision_model.encoder.layers[-1].requires_grad_(requires_grad=True)
    weighted_sum(reference(model, pairs)).backward()
    ours = [parameter for parameter in seeing.parameters() if parameter.requires_grad]
    for got, wanted in zip(ours, block.parameters(), strict=True):
        noise = 1e-5 * max(1.0, float(wanted.grad.abs().max()))
        torch.testing.assert_close(got.grad, wanted.grad, atol=noise, rtol=2e-4)


def test_dropout_follows_each_unfrozen_block_in_training_only(
    towers: Mapping[str, Tower], tower: Tower, pairs: Activations
) -> None:
    expected, _ = embed(towers, tower, Cut(2), pairs)
    suffix = tower.suffix(Cut(2), block_dropout=0.4)
    tokens = towers["image"].prefix(Cut(0, "tokens"))(batch_of("image")).values
    kept = tower.prefix(Cut(2))(pairs)._replace(encoder_hidden_states=tokens)
    assert torch.equal(suffix.eval()(kept).values, expected)
    left: list[Tensor] = []
    piece: Any = suffix
    for block in piece.piece.model.encoder.layer:
        block.register_forward_hook(lambda _, __, out: left.append(out))
    suffix.train()(kept)
    assert len(left) == 2
    for values in left:
        assert float((values == 0).float().mean()) == pytest.approx(0.4, abs=0.12)


def test_other_weights_of_either_tower_are_other_weights(towers: Mapping[str, Tower]) -> None:
    tower = tower_for("pair", towers)
    assert isinstance(tower, CrossAttentionTower)
    before = tower.fingerprint
    assert before not in {towers["text"].fingerprint, towers["image"].fingerprint}
    parameter = next(iter(towers["image"].model.parameters()))
    with torch.no_grad():
        parameter.add_(1)
        assert tower.fingerprint != before
        parameter.sub_(1)


def test_more_layers_than_there_are_are_refused_by_the_name_of_the_field(tower: Tower) -> None:
    with pytest.raises(
        ValueError, match=r"^text_unfrozen_layers must be in \[0, 3\] for .*got 4$"
    ):
        tower.check(Cut(4))
