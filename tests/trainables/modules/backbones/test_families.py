"""Every family that is declared: a small model of it equals the library's own at every cut."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModel

from tests.trainables.modules.comparison import compare, relative, weighted_sum
from tests.trainables.modules.layouts import FAMILY_LAYOUTS, made, save
from tests.trainables.modules.references import blocks_of
from trainables.modules.backbones.families import FAMILIES, family_of, names_of, places_of
from trainables.modules.backbones.pretrained import load_image_tower, load_text_tower
from trainables.modules.blocks.cut import POOLED_LAYERS, Cut
from trainables.modules.blocks.parameters import total_parameters
from trainables.modules.blocks.piece import mean_of_tokens
from trainables.modules.blocks.precision import autocast

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from trainables.evaluation.decision import Precision
    from trainables.modules.blocks.activations import Activations
    from trainables.modules.blocks.cut import Layers

# Summing in another order gives such differences, relative to the largest value.
NOISE = 5e-5


def test_every_family_of_one_role_has_a_small_model() -> None:
    alone = [f.name for f in FAMILIES if f.kind != "pair" and f.library != "torchvision"]
    assert list(FAMILY_LAYOUTS) == alone


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILY_LAYOUTS)
def test_outputs_and_gradients_equal_the_library_at_several_cuts(
    inputs: Mapping[str, Activations], tmp_path: Path, name: str
) -> None:
    family = next(family for family in FAMILIES if family.name == name)
    if family.library == "timm":
        pytest.importorskip("timm")
    model = made(FAMILY_LAYOUTS[name])
    source = save(model, tmp_path)
    base = getattr(model, model.base_model_prefix, model)
    base = model if hasattr(model, "timm_model") else base
    tower: Any = (load_text_tower if family.kind == "text" else load_image_tower)(source)
    if name == "MobileNetV2":  # where rounding crosses a corner of ReLU6, a gradient jumps
        tower.folds = False
    for pooling in tower.poolings:
        for unfrozen in dict.fromkeys((0, tower.depth // 2, tower.depth)):
            found = compare(base, tower, inputs[tower.role], Cut(unfrozen, pooling))
            assert max(found) < NOISE, (unfrozen, pooling)
    suffix = tower.suffix(Cut(1))
    assert 0 < total_parameters(suffix, trainable=True) < tower.parameter_count


# Rounding to 8 bits in a few small random blocks, relative to the largest value.
FEWER_BITS = {"bfloat16": 0.1, "float16": 0.02}


@pytest.mark.slow
@pytest.mark.parametrize("precision", FEWER_BITS)
@pytest.mark.parametrize("name", FAMILY_LAYOUTS)
def test_what_trains_computes_nearly_the_same_in_fewer_bits(
    inputs: Mapping[str, Activations], tmp_path: Path, name: str, precision: Precision
) -> None:
    family = next(family for family in FAMILIES if family.name == name)
    if family.library == "timm":
        pytest.importorskip("timm")
    source = save(made(FAMILY_LAYOUTS[name]), tmp_path)
    tower: Any = (load_text_tower if family.kind == "text" else load_image_tower)(source)
    for pooling in tower.poolings:
        cut = Cut(1, pooling)
        suffix = tower.suffix(cut).eval()
        with torch.no_grad():
            hidden = tower.prefix(cut)(inputs[tower.role])
        found = {}
        for each in ("float32", precision):
            suffix.zero_grad()
            with autocast(torch.device("cpu"), each):
                embedding = suffix(hidden).values.float()
            weighted_sum(embedding).backward()
            gradients = [p.grad for p in suffix.parameters() if p.requires_grad]
            found[each] = [embedding], gradients
        outputs, gradients = map(relative, found[precision], found["float32"])
        assert outputs < FEWER_BITS[precision], pooling
        # The gradient of a rectifier whose input changes its sign comes or goes as a whole.
        assert gradients < 5 * FEWER_BITS[precision], pooling
        assert found[precision][0][0].ne(found["float32"][0][0]).any()


@pytest.mark.parametrize(
    "name",
    ["BERT", "ModernBERT", "DistilBERT", "DINOv2", "ConvNeXt", "ConvNeXt V2", "Swin", "ResNet"],
)
def test_the_size_that_is_told_is_that_of_the_published_config(name: str) -> None:
    family = next(family for family in FAMILIES if family.name == name)
    config = AutoConfig.for_model(family.types[0])  # the library's defaults are that checkpoint
    if name == "DINOv2":
        config.image_size, config.patch_size = 518, 14
    with torch.device("meta"):
        model = AutoModel.from_config(config)
    assert total_parameters(model) / 1e6 == pytest.approx(family.millions, abs=0.051)
    assert len(blocks_of(model)) == sum(family.depth)


@pytest.mark.parametrize("name", ["ModernBERT", "ALBERT"])
@pytest.mark.parametrize("layers", POOLED_LAYERS)
def test_layers_before_the_last_are_pooled_as_by_hand(
    inputs: Mapping[str, Activations], tmp_path: Path, name: str, layers: Layers
) -> None:
    """Each passes the norm that the last passes."""
    model = made(FAMILY_LAYOUTS[name]._replace(saved_as="Model"))
    tower = load_text_tower(save(model, tmp_path))
    ids, mask, _ = inputs["text"]
    assert mask is not None
    norm = getattr(model, "final_norm", nn.Identity())
    asked: Any = {"attention_mask": mask.long(), "output_hidden_states": True}
    with torch.no_grad():
        *before, last = model(input_ids=ids, **asked).hidden_states
        states = [*map(norm, before), last]
        pooled = [mean_of_tokens(states[-1 - back], mask) for back in POOLED_LAYERS[layers]]
        averages = layers == "last_four"
        wanted = torch.stack(pooled).mean(dim=0) if averages else torch.cat(pooled, dim=-1)
        got = tower.prefix(Cut(0, "mean", layers=layers))(inputs["text"]).values
    torch.testing.assert_close(got, wanted, atol=1e-4, rtol=1e-4)


def test_a_type_belongs_to_the_family_of_its_role() -> None:
    assert family_of("clip") is not None
    assert family_of("clip", "image") is None
    assert family_of("dinov2", "image") is family_of("dinov2")
    assert family_of("gpt2") is None
    assert places_of("mobilenet_v2") is None


def test_families_are_listed_by_role() -> None:
    assert "ModernBERT" in names_of("text")
    assert "DINOv2 with registers" in names_of("image")
    assert names_of("pair") == "CLIP, OpenCLIP, SigLIP, SigLIP 2, BLIP"
