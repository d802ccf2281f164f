"""What a build on a GPU writes: as on the CPU, and no row before the copy of it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from trainables.modules.blocks.activations import Activations
from trainables.modules.blocks.cut import Cut
from trainables.worker import Workbench

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trainables.experiment import Experiment

pytestmark = pytest.mark.gpu
TEXTS = ("tiny", "bert", "roberta", "distilbert")
IMAGES = ("tiny", "resnet", "mobilenet", "vit")
PAIRS = ("clip", "blip")


def compare(
    make: Callable[..., Experiment],
    tmp_path: Any,
    device: torch.device,
    tower: str,
    **settings: Any,
) -> None:
    rows = torch.arange(36)
    for depth in (0, 1):
        found = []
        for name in ("cpu", "device"):
            where = torch.device("cpu") if name == "cpu" else device
            bench = Workbench(make(cache=tmp_path / name, **settings), where)
            source = bench.source(tower, Cut(depth, "mean" if tower == "text" else None))
            found.append(source.gather(rows).values.float().cpu())
            left = bench.towers[tower].prefix(Cut(depth, "mean")).parameters()
            assert all(value.device.type == "cpu" for value in left), "towers stay on the host"
        # A tenth of what TF32 would make of it.
        assert (found[0] - found[1]).abs().max() <= 1e-4 * found[0].abs().max()


@pytest.mark.parametrize("family", TEXTS)
def test_a_text_tower_says_on_the_device_what_it_says_on_the_cpu(
    make_experiment: Callable[..., Experiment],
    weights: Mapping[str, str],
    tmp_path: Any,
    device: torch.device,
    family: str,
) -> None:
    backbones = {"text": weights.get(family, family), "image": "tiny"}
    compare(make_experiment, tmp_path, device, "text", backbones=backbones)


@pytest.mark.parametrize("family", IMAGES)
def test_an_image_tower_says_on_the_device_what_it_says_on_the_cpu(
    make_experiment: Callable[..., Experiment],
    weights: Mapping[str, str],
    tmp_path: Any,
    device: torch.device,
    family: str,
) -> None:
    backbones = {"text": "tiny", "image": weights.get(family, family)}
    compare(make_experiment, tmp_path, device, "image", backbones=backbones)


@pytest.mark.parametrize("tower", ["text", "image"])
@pytest.mark.parametrize("variant", PAIRS)
def test_a_tower_of_a_pair_says_on_the_device_what_it_says_on_the_cpu(
    make_experiment: Callable[..., Experiment],
    tmp_path: Any,
    device: torch.device,
    variant: str,
    tower: str,
) -> None:
    settings = {"variant": variant, "backbones": {variant: "tiny"}}
    compare(make_experiment, tmp_path, device, tower, **settings)


def test_no_row_is_read_before_its_copy_from_the_device_is_done(cuda: torch.device) -> None:
    host = torch.device("cpu")
    weight = torch.randn(2048, 2048, device=cuda) / 45
    for turn in range(20):
        values = torch.full((4096, 2048), float(turn), device=cuda)
        for _ in range(10):  # work that the copy must wait for
            values = torch.relu(values @ weight)
        expected = values.sum().item()
        values = values * 1.0
        copied = Activations(values).to(host).values
        assert copied.sum(dtype=torch.float64).item() == pytest.approx(expected, rel=1e-4)
