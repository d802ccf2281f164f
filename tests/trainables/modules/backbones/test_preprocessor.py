"""Preprocessors: colours as the library standardises them, sizes, differences, broken files."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image

from trainables.config import InputSettings
from trainables.modules.backbones.image_towers import Standardize
from trainables.modules.backbones.preprocessor import PREPROCESSOR, Preprocessor, read_preprocessor
from trainables.modules.backbones.pretrained import load_image_tower
from trainables.modules.backbones.weights import WeightsError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

HALVES = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
CLIP = {"size": {"shortest_edge": 336}, "crop_size": {"height": 336, "width": 336}, "resample": 3}
IMAGENET = {"size": {"shortest_edge": 256}, "crop_size": 224, "resample": 2}
SQUEEZED = {"size": {"height": 384, "width": 384}, "resample": 3}


def read(folder: Path, name: str, content: dict[str, Any]) -> Preprocessor:
    (folder / name).write_text(json.dumps(content))
    found = read_preprocessor("image", str(folder))
    assert found is not None
    return found


def test_what_a_checkpoint_of_timm_says_of_its_images_is_read(tmp_path: Path) -> None:
    pretrained = {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.25, 0.3], "input_size": [3, 224, 224]}
    cropped = pretrained | {"crop_pct": 0.875, "interpolation": "bicubic"}
    found = read(tmp_path, "config.json", {"pretrained_cfg": cropped})
    assert found.colours(HALVES) == ((0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
    assert found.side == 224
    assert "scaled to 256 pixels and cut to the 224 in their centre (bicubic)" in found.difference(
        InputSettings(image_size=224)
    )
    plain = read(tmp_path, "config.json", {"pretrained_cfg": pretrained})
    assert plain.side == 224
    (tmp_path / "config.json").write_text('{"model_type": "vit"}')
    assert read_preprocessor("image", str(tmp_path)) is None


def test_a_share_that_is_cut_out_is_the_crop_of_a_larger_image(tmp_path: Path) -> None:
    settings = {"size": {"shortest_edge": 224}, "crop_pct": 0.875, "resample": 2}
    found = read(tmp_path, PREPROCESSOR, settings)
    assert found.side == 224
    inputs = InputSettings(image_size=224, image_preparation="imagenet")
    assert found.difference(inputs) == "", "scaled to 256, as this preparation does"
    large = read(tmp_path, PREPROCESSOR, settings | {"size": {"shortest_edge": 384}})
    assert large.side == 384


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.25, 0.3]},
        {"image_mean": 0.4, "image_std": 0.2},
        {"do_normalize": False},
        {"do_normalize": False, "image_mean": None},
        {"do_rescale": False, "image_mean": [120.0, 110.0, 100.0], "image_std": [50, 60, 70]},
        {"do_rescale": False, "do_normalize": False},
        {"rescale_factor": 1 / 127.5, "image_mean": [1.0, 1.0, 1.0], "image_std": [1.0, 1.0, 1.0]},
    ],
)
def test_pixels_are_standardised_as_the_library_does(settings: dict[str, Any]) -> None:
    from transformers import ViTImageProcessor

    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    library: Any = ViTImageProcessor(**settings, do_resize=False)
    expected = library(Image.fromarray(pixels), return_tensors="pt")["pixel_values"]
    ours = Standardize(*Preprocessor(settings).colours(HALVES))
    got = ours(torch.from_numpy(pixels.transpose(2, 0, 1).copy())[None])
    torch.testing.assert_close(got, expected.float(), atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize(
    ("settings", "side"),
    [
        ({}, None),
        (CLIP, 336),
        (IMAGENET, 224),
        (SQUEEZED, 384),
        ({"size": 224}, 224),
        ({"size": 384, "crop_size": 224, "do_center_crop": False}, 384),
        ({"size": {"height": 224, "width": 320}}, None),
        ({"size": 384, "do_resize": False}, None),
    ],
)
def test_the_side_is_that_of_what_the_model_reads(
    settings: dict[str, Any], side: int | None
) -> None:
    assert Preprocessor(settings).side == side


@pytest.mark.parametrize(
    ("settings", "preparation", "size"),
    [({}, "basic", 64), (CLIP, "improved", 336), (IMAGENET, "imagenet", 224)],
)
def test_what_is_read_as_it_was_trained_is_not_worth_a_word(
    settings: dict[str, Any], preparation: Any, size: int
) -> None:
    inputs = InputSettings(image_preparation=preparation, image_size=size)
    assert not Preprocessor(settings).difference(inputs)


@pytest.mark.parametrize(
    ("settings", "preparation", "words"),
    [
        (CLIP, "improved", "scaled to 336 pixels and cut to the 336 in their centre (bicubic)"),
        (CLIP, "basic", "fitted into a white square of 224 pixels"),
        (IMAGENET, "improved", "scaled to 256 pixels and cut to the 224 in their centre"),
        (SQUEEZED, "improved", "squeezed to 384 x 384 pixels (bicubic); here they are cut to"),
    ],
)
def test_what_is_read_otherwise_is_said(
    settings: dict[str, Any], preparation: Any, words: str
) -> None:
    inputs = InputSettings(image_preparation=preparation, image_size=224)
    assert words in Preprocessor(settings).difference(inputs)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "cannot be read"),
        ("[]", "must hold a JSON object, got list"),
        ('{"image_mean": null}', "image_mean must be three numbers, got None"),
        ('{"image_std": [0.5, 0, 0.5]}', r"image_std must be three numbers > 0, got \[0.5, 0"),
        ('{"image_mean": [0.5]}', r"image_mean must be three numbers, got \[0.5\]"),
        ('{"image_mean": [0.5, NaN, 1]}', "image_mean must be three numbers, got"),
        ('{"do_normalize": "no"}', "do_normalize must be true or false, got 'no'"),
        ('{"rescale_factor": 0}', "rescale_factor must be a number > 0, got 0"),
        ('{"size": {"width": 3}}', "size must be in whole pixels, got"),
        ('{"crop_size": "224"}', "crop_size must be in whole pixels, got '224'"),
    ],
)
def test_a_broken_preprocessor_is_refused_by_its_file(
    tmp_path: Path, content: str, words: str
) -> None:
    path = tmp_path / PREPROCESSOR
    path.write_text(content)
    with pytest.raises(WeightsError, match=rf"backbone image: {path}:? {words}") as error:
        read_preprocessor("image", str(tmp_path))
    assert len(str(error.value).splitlines()) == 1


def test_newer_checkpoints_keep_it_inside_their_processor(tmp_path: Path) -> None:
    (tmp_path / PREPROCESSOR).write_text('{"size": 224}')
    (tmp_path / "processor_config.json").write_text('{"processor_class": "CLIPProcessor"}')
    found = read_preprocessor("clip", str(tmp_path))
    assert found is not None
    assert found.side == 224
    (tmp_path / "processor_config.json").write_text(json.dumps({"image_processor": CLIP}))
    found = read_preprocessor("clip", str(tmp_path))
    assert found is not None
    assert found.side == 336


def test_a_tower_without_normalisation_reads_plain_pixels(
    weights: Mapping[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "vit"
    shutil.copytree(weights["vit"], folder)
    (folder / PREPROCESSOR).write_text('{"do_normalize": false}')
    tower: Any = load_image_tower(str(folder))
    assert (tower.mean, tower.std) == ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
