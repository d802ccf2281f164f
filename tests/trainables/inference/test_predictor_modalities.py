"""Models of one modality: trained, saved and asked without so much as a look at the other."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from safetensors.torch import load_file

from tests.conftest import train_final
from trainables.inference.about import ModelError, read_about
from trainables.inference.predictor import Predictor
from trainables.variants import VARIANTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainables.config import Modality
    from trainables.data.sample import Corpus, Sample
    from trainables.experiment import Experiment

PARAMS = {"batch_size": 8, "hidden_width": 16, "neutral_threshold": 0.36}
VISION = ("vision_model.", "visual_projection.")


def without(sample: Sample, modality: Modality) -> Sample:
    """The sample without what is not read: an image that is nowhere, or no text."""
    if modality == "text":
        return replace(sample, image=Path("nowhere.jpg"), image_digest="")
    return replace(sample, text="")


@pytest.mark.slow
@pytest.mark.parametrize("modality", ["text", "image"])
@pytest.mark.parametrize("name", VARIANTS)
def test_a_model_of_one_modality_needs_nothing_of_the_other(
    make_experiment: Callable[..., Experiment],
    corpus: Corpus,
    tmp_path: Path,
    name: str,
    modality: Modality,
) -> None:
    blind = replace(
        corpus,
        labelled=tuple(without(sample, modality) for sample in corpus.labelled),
        unlabelled=tuple(without(sample, modality) for sample in corpus.unlabelled),
    )
    backbones = dict.fromkeys(VARIANTS[name].backbones_for(modality), "tiny")
    experiment = make_experiment(
        variant=name, backbones=backbones, modality=modality, corpus=blind
    )
    result = train_final(experiment, PARAMS, 1, tmp_path / "model")
    moved = tmp_path / "moved"
    shutil.move(tmp_path / "model", moved)
    assert {path.name for path in moved.iterdir() if path.is_dir()} == set(backbones)
    predictor = Predictor(moved)
    assert predictor.modality == modality
    got = predictor.probabilities(blind.unlabelled)
    assert got == pytest.approx(result["probabilities"], abs=1e-5)
    assert got == pytest.approx(predictor.probabilities(corpus.unlabelled), abs=1e-6)


@pytest.mark.parametrize("name", ["clip", "blip"])
def test_of_a_checkpoint_for_both_only_the_tower_that_is_read_is_saved(
    make_experiment: Callable[..., Experiment], tmp_path: Path, name: str
) -> None:
    for modality in ("text", "image"):
        experiment = make_experiment(variant=name, backbones={name: "tiny"}, modality=modality)
        train_final(experiment, PARAMS, 1, tmp_path / modality)
        saved = load_file(tmp_path / modality / name / "model.safetensors")
        of_images = [key.startswith(VISION) for key in saved if "scale" not in key]
        assert of_images
        assert all(of_images) if modality == "image" else not any(of_images)


def test_a_model_that_does_not_say_reads_both(tmp_path: Path) -> None:
    about: dict[str, Any] = {"format": 2, "variant": "clip", "inputs": {}, "decision": {}}
    about["members"] = [{"config": {}, "weight": 1.0}]
    about |= {"random_backbones": []}
    (tmp_path / "classifier.safetensors").touch()
    (tmp_path / "config.json").write_text(json.dumps(about))
    assert read_about(tmp_path)["modality"] == "both"
    (tmp_path / "config.json").write_text(json.dumps(about | {"modality": "sound"}))
    with pytest.raises(ModelError, match=r"modality among both, text, image, got 'sound'$"):
        read_about(tmp_path)
