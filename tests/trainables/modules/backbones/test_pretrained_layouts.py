"""Every published layout loads whole, says what the library says and stays itself; or one line."""

from __future__ import annotations

import copy
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
import torch

from tests.trainables.modules.layouts import (
    IMAGES,
    REFUSED_IMAGES,
    REFUSED_TEXTS,
    TEXTS,
    made,
    save,
)
from tests.trainables.modules.references import reference_of
from trainables.modules.backbones.pretrained import load_image_tower, load_text_tower
from trainables.modules.backbones.weights import WeightsError
from trainables.modules.blocks.cut import Cut

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from torch import Tensor

    from trainables.modules.blocks.activations import Activations

LAYOUTS = {**TEXTS, **IMAGES}
# Blocks that read in both directions, of BERT's make: only these run without padding.
PACKED = (
    *("bert", "roberta", "xlm-roberta", "camembert", "electra", "ernie", "data2vec", "rembert"),
    *("big-bird", "modernbert", "albert", "deberta-v3", "deberta-v2 of one key each"),
)

each_layout = pytest.mark.parametrize("name", LAYOUTS)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Any, str, Any]]:
    """The library's base model of a layout, where its checkpoint lies, and the tower of it."""

    @cache
    def make(name: str) -> tuple[Any, str, Any]:
        model = made(LAYOUTS[name])
        source = save(model, tmp_path_factory.mktemp("layout"))
        torch.manual_seed(1)
        return getattr(model, model.base_model_prefix, model), source, load(name, source)

    return make


def load(name: str, source: str) -> Any:
    return (load_text_tower if name in TEXTS else load_image_tower)(source)


def library_says(base: Any, tower: Any, inputs: Activations, pooling: Any) -> Tensor:
    uncut = copy.copy(tower)
    uncut.model = base
    with torch.no_grad():
        return reference_of(base)(uncut, inputs, pooling)


@pytest.mark.slow
@each_layout
def test_a_layout_says_what_the_library_says_at_every_depth(
    checkpoint: Callable[[str], tuple[Any, str, Any]],
    inputs: Mapping[str, Activations],
    name: str,
) -> None:
    base, _, tower = checkpoint(name)
    for pooling in tower.poolings:
        wanted = library_says(base, tower, inputs[tower.role], pooling)
        assert wanted.std(dim=0).max() > 1e-3
        for unfrozen in range(tower.depth + 1):
            cut = Cut(unfrozen, pooling)
            with torch.no_grad():
                hidden = tower.prefix(cut)(inputs[tower.role])
                got = tower.suffix(cut).eval()(hidden).values
            torch.testing.assert_close(got, wanted, atol=2e-4, rtol=2e-4)


@pytest.mark.slow
@each_layout
def test_a_layout_is_the_same_whatever_was_drawn_before_and_once_it_is_saved(
    checkpoint: Callable[[str], tuple[Any, str, Any]], tmp_path: Path, name: str
) -> None:
    _, source, tower = checkpoint(name)
    torch.manual_seed(2)
    assert load(name, source).fingerprint == tower.fingerprint
    tower.save(tmp_path)
    assert load(name, str(tmp_path)).fingerprint == tower.fingerprint


@pytest.mark.parametrize("name", TEXTS)
def test_only_blocks_that_say_the_same_when_opened_are_opened(
    checkpoint: Callable[[str], tuple[Any, str, Any]], name: str
) -> None:
    tower = checkpoint(name)[2]
    assert tower.packs == name.startswith(PACKED)


@pytest.mark.parametrize("name", REFUSED_TEXTS)
def test_a_text_layout_that_cannot_be_cut_is_refused_in_one_line(
    tmp_path: Path, name: str
) -> None:
    layout, cause = REFUSED_TEXTS[name]
    source = save(made(layout), tmp_path)
    with pytest.raises(WeightsError) as error:
        load_text_tower(source)
    message = str(error.value)
    assert cause in message
    assert f"{layout.family}Model" in message
    assert "BERT" in message
    assert "\n" not in message


@pytest.mark.parametrize("name", REFUSED_IMAGES)
def test_an_image_layout_of_another_family_is_refused_in_one_line(
    tmp_path: Path, name: str
) -> None:
    source = save(made(REFUSED_IMAGES[name]), tmp_path)
    with pytest.raises(WeightsError) as error:
        load_image_tower(source)
    message = str(error.value)
    assert message.startswith(
        "backbone image must be resnet18, resnet34, resnet50, a ResNet weights file, or of one of "
        "the"
    )
    assert "DINOv2 with registers, CLIP's image tower" in message
    assert message.endswith(f"got {REFUSED_IMAGES[name].family}Model from {source}")
