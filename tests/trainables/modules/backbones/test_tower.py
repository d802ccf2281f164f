"""Cutting: prefix then suffix is the uncut library model, in outputs and in gradients."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from tests.conftest import SHARED
from tests.trainables.modules.conftest import FAMILIES, load
from trainables.modules.backbones.weights import WeightsError
from trainables.modules.blocks.activations import Activations
from trainables.modules.blocks.cut import Cut
from trainables.modules.blocks.parameters import total_parameters
from trainables.modules.blocks.piece import PassPooled, Piece

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from trainables.modules.backbones.tower import Tower
    from trainables.modules.blocks.cut import Pooling

CASES: list[Any] = [
    pytest.param(name, unfrozen, pooling, id=f"{name}-{unfrozen}-{pooling}")
    for name, family in FAMILIES.items()
    for unfrozen in range(family.depth + 1)
    for pooling in (("cls", "mean") if name not in {"resnet", "mobilenet"} else ("cls",))
]


def embed(tower: Tower, inputs: Activations, cut: Cut) -> tuple[Tensor, nn.Module]:
    """Run prefix and suffix, dropout off."""
    suffix = tower.suffix(cut).eval()
    with torch.no_grad():
        hidden = tower.prefix(cut)(inputs)
    embedding: Tensor = suffix(hidden).values
    return embedding, suffix


def weighted_sum(embedding: Tensor) -> Tensor:
    """A loss to which every entry of the embedding matters differently."""
    weights = torch.randn(embedding.shape, generator=torch.Generator().manual_seed(2))
    return (embedding * weights).sum()


@pytest.mark.parametrize("family", FAMILIES)
def test_every_cut_of_a_family_is_tried(towers: Mapping[str, Tower], family: str) -> None:
    assert towers[family].depth == FAMILIES[family].depth


@pytest.mark.usefixtures("unfolded")
@pytest.mark.parametrize(("family", "unfrozen", "pooling"), CASES)
def test_prefix_and_suffix_embed_as_the_uncut_model(
    towers: Mapping[str, Tower],
    inputs: Mapping[str, Activations],
    family: str,
    unfrozen: int,
    pooling: Pooling,
) -> None:
    tower = towers[family]
    batch = inputs[tower.role]
    embedding, _ = embed(tower, batch, Cut(unfrozen, pooling))
    with torch.no_grad():
        expected = FAMILIES[family].embed(tower, batch, pooling)
    assert embedding.shape == (5, tower.width)
    # Were all samples embedded alike, the comparison would show nothing.
    assert expected.std(dim=0).max() > 1e-3
    torch.testing.assert_close(embedding, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.usefixtures("unfolded")
@pytest.mark.slow
@pytest.mark.parametrize(("family", "unfrozen", "pooling"), [c for c in CASES if c.values[1]])
def test_unfrozen_blocks_get_the_gradients_of_the_uncut_model(
    towers: Mapping[str, Tower],
    weights: Mapping[str, str],
    inputs: Mapping[str, Activations],
    family: str,
    unfrozen: int,
    pooling: Pooling,
) -> None:
    tower = towers[family]
    batch = inputs[tower.role]
    embedding, suffix = embed(tower, batch, Cut(unfrozen, pooling))
    weighted_sum(embedding).backward()
    uncut = load(weights, family)
    blocks = nn.ModuleList(FAMILIES[family].blocks(uncut.model, unfrozen))
    blocks.requires_grad_(requires_grad=True)
    weighted_sum(FAMILIES[family].embed(uncut, batch, pooling)).backward()
    ours = [parameter for parameter in suffix.parameters() if parameter.requires_grad]
    for got, wanted in zip(ours, blocks.parameters(), strict=True):
        torch.testing.assert_close(got.grad, wanted.grad, atol=2e-5, rtol=2e-4)
    assert any(p.grad is not None and p.grad.abs().max() > 1e-2 for p in ours)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("folder", "family"), [("all-MiniLM-L6-v2", "bert"), ("mobilenet-v2", "mobilenet")]
)
def test_real_checkpoints_are_cut_without_loss(
    inputs: Mapping[str, Activations], folder: str, family: str
) -> None:
    path = SHARED / "weights" / folder
    if not path.is_dir():
        pytest.skip(f"the checkpoint {folder} is not in ../shared/weights")
    tower = load({family: str(path)}, family)
    batch = inputs[tower.role]
    with torch.no_grad():
        expected = FAMILIES[family].embed(tower, batch, "mean")
    for unfrozen in (0, 1, 2, tower.depth):
        embedding, _ = embed(tower, batch, Cut(unfrozen, "mean"))
        torch.testing.assert_close(embedding, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_frozen_gets_no_gradient(
    towers: Mapping[str, Tower], inputs: Mapping[str, Activations], family: str
) -> None:
    tower = towers[family]
    embedding, suffix = embed(tower, inputs[tower.role], Cut(1, "mean"))
    weighted_sum(embedding).backward()
    frozen = [p for p in suffix.parameters() if not p.requires_grad]
    for parameter in [*frozen, *tower.model.parameters()]:
        assert not parameter.requires_grad
        assert parameter.grad is None


@pytest.mark.parametrize("family", FAMILIES)
def test_each_suffix_is_a_fresh_copy_of_the_pretrained_blocks(
    towers: Mapping[str, Tower], family: str
) -> None:
    tower = towers[family]
    before = tower.fingerprint
    spoilt = tower.suffix(Cut(1))
    with torch.no_grad():
        for parameter in spoilt.parameters():
            parameter.zero_()
    fresh = [p for p in tower.suffix(Cut(1)).parameters() if p.requires_grad]
    pretrained = nn.ModuleList(FAMILIES[family].blocks(tower.model, 1)).parameters()
    for got, wanted in zip(fresh, pretrained, strict=True):
        assert torch.equal(got, wanted)
    assert tower.fingerprint == before


@pytest.mark.parametrize("family", FAMILIES)
def test_the_suffix_of_a_frozen_tower_passes_embeddings_through(
    towers: Mapping[str, Tower], family: str
) -> None:
    suffix = towers[family].suffix(Cut(0))
    pooled = Activations(torch.randn(2, 3))
    assert isinstance(suffix, PassPooled)
    assert suffix(pooled) is pooled
    assert list(suffix.parameters()) == []


@pytest.mark.parametrize("family", FAMILIES)
def test_segments_chain_to_the_deeper_prefix(
    towers: Mapping[str, Tower], inputs: Mapping[str, Activations], family: str
) -> None:
    tower = towers[family]
    shallow, deep = Cut(tower.depth), Cut(0, "mean")
    with torch.no_grad():
        between = tower.prefix(shallow)(inputs[tower.role])
        chained = tower.segment(shallow, deep)(between)
        at_once = tower.prefix(deep)(inputs[tower.role])
    assert torch.equal(chained.values, at_once.values)


@pytest.mark.parametrize("unfrozen", [-1, 4])
def test_a_cut_that_a_tower_lacks_is_refused_with_its_range(
    towers: Mapping[str, Tower], unfrozen: int
) -> None:
    tower = towers["bert"]
    message = rf"text_unfrozen_layers must be in \[0, 3\] for .*bert, got {unfrozen}"
    for cut in (tower.prefix, tower.suffix):
        with pytest.raises(ValueError, match=message):
            cut(Cut(unfrozen))


def test_dropout_works_in_an_unfrozen_block_that_trains(
    towers: Mapping[str, Tower], inputs: Mapping[str, Activations]
) -> None:
    for cut in (Cut(1, "cls"), Cut(1, "mean")):
        with torch.no_grad():
            hidden = towers["bert"].prefix(cut)(inputs["text"])
        suffix = towers["bert"].suffix(cut).train()
        assert not torch.equal(suffix(hidden).values, suffix(hidden).values)


def test_batch_norms_of_a_piece_that_trains_keep_their_statistics(
    towers: Mapping[str, Tower], inputs: Mapping[str, Activations]
) -> None:
    cut = Cut(1)
    suffix = towers["resnet"].suffix(cut).train()
    before = {name: value.clone() for name, value in suffix.named_buffers()}
    with torch.no_grad():
        hidden = towers["resnet"].prefix(cut)(inputs["image"])
        trained, evaluated = suffix(hidden).values, suffix.eval()(hidden).values
    assert isinstance(suffix, Piece)
    assert before
    assert all(torch.equal(value, before[name]) for name, value in suffix.named_buffers())
    assert torch.equal(trained, evaluated)


@pytest.mark.parametrize("family", ["distilbert", "resnet"])
def test_backbones_whose_weights_are_no_numbers_are_refused(
    weights: Mapping[str, str], tmp_path: Path, family: str
) -> None:
    source = Path(weights[family])
    other = tmp_path / source.name
    (shutil.copy if source.is_file() else shutil.copytree)(source, other)
    file = other if source.is_file() else other / "model.safetensors"
    state = load_file(file)
    worst = max(state, key=lambda name: state[name].numel())
    state[worst].flatten()[3] = math.nan
    save_file(state, file, {"format": "pt"})
    with pytest.raises(WeightsError, match=rf"of {other} hold NaN or infinity, in {worst}; "):
        load({family: str(other)}, family)


class SlowCopy:
    """A tensor that is copied from device to device: a copy that is not waited for is stale."""

    def __init__(self, values: list[int]) -> None:
        self.values = torch.tensor(values)

    def to(self, device: torch.device, *, non_blocking: bool = False) -> Tensor:
        assert isinstance(device, torch.device)
        return torch.full_like(self.values, -1) if non_blocking else self.values.clone()


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_activations_are_all_there_once_they_are_on_a_device(device: str) -> None:
    values: Any = [SlowCopy([5, 6]), SlowCopy([1, 0]), SlowCopy([7, 8])]
    moved = Activations(*values).to(torch.device(device))
    assert [part is not None and part.tolist() for part in moved] == [[5, 6], [1, 0], [7, 8]]


def test_parameters_are_counted_by_whether_they_train() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    module[0].requires_grad_(requires_grad=False)
    assert total_parameters(module) == 3 * 4 + 4 + 4 * 2 + 2
    assert total_parameters(module, trainable=True) == 4 * 2 + 2
