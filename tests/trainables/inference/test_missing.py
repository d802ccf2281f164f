"""Models whose pairs may lack a part: what stands for it is what would be in its place."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image

from tests.conftest import tiny_experiment, train_final
from tests.trainables.inference.export.models import MODELS, write
from trainables.config import InputSettings
from trainables.inference.about import read_about
from trainables.inference.predictor import Predictor

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from trainables.data.sample import Corpus

# Those of the fixtures: means of 0.4, 0.5 and 0.6, and ImageNet's.
COLOURS = {"a": (102, 128, 153), "b": (124, 116, 104)}


@pytest.mark.parametrize("source", COLOURS)
def test_each_tower_reads_its_own_mean_colour_for_a_missing_image(
    weights: Mapping[str, str], corpus: Corpus, tmp_path: Path, source: str
) -> None:
    model = MODELS["pairs that may lack a part"]
    alone = model._replace(members=[model.members[0] | {"image_backbone": source}])
    predictor = Predictor(write(alone, weights, tmp_path), torch.device("cpu"))
    first, *others = corpus.samples[:3]
    Image.new("RGB", (70, 70), COLOURS[source]).save(tmp_path / "colour.png")
    lacking = predictor.probabilities([replace(first, image=None, image_digest=""), *others])
    shown = predictor.probabilities([replace(first, image=tmp_path / "colour.png"), *others])
    np.testing.assert_allclose(lacking, shown, atol=1e-6)
    assert np.abs(lacking[0] - predictor.probabilities([first])[0]).max() > 1e-4


@pytest.mark.slow
def test_a_model_trains_on_pairs_that_lack_a_part_cached_or_not_and_keeps_the_setting(
    corpus: Corpus, tmp_path: Path
) -> None:
    lacking = tuple(
        replace(s, image=None, image_digest="") if k % 4 == 0 else replace(s, text="")
        for k, s in enumerate(corpus.labelled)
    )
    gaps = replace(corpus, labelled=lacking)
    inputs = InputSettings(image_size=32, missing="allow")
    made = []
    for number, cache in enumerate((None, tmp_path / "cache")):
        folder = tmp_path / f"model{number}"
        experiment = tiny_experiment(corpus=gaps, inputs=inputs, max_epochs=1, cache=cache)
        train_final(experiment, {"batch_size": 8, "image_unfrozen_layers": 1}, 1, folder)
        assert read_about(folder)["inputs"]["missing"] == "allow"
        made.append(Predictor(folder, torch.device("cpu")).probabilities(gaps.samples))
    np.testing.assert_allclose(*made, atol=1e-5)
