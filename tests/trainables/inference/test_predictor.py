"""Saved models: the same probabilities wherever they lie, and clear errors."""

from __future__ import annotations

import json
import pickle
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from tests.conftest import folds_of, train_final
from tests.trainables.inference.conftest import PARAMS
from trainables.config import InputSettings
from trainables.data.sample import Sample
from trainables.evaluation.decision import DecisionRule
from trainables.experiment import Experiment
from trainables.inference.predictor import Predictor, as_predictions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainables.data.sample import Corpus

BACKBONES = [("tiny", "tiny"), ("bert", "vit"), ("roberta", "mobilenet"), ("distilbert", "resnet")]


@pytest.fixture(scope="module", params=BACKBONES, ids=["-".join(names) for names in BACKBONES])
def saved(
    request: pytest.FixtureRequest,
    weights: Mapping[str, str],
    corpus: Corpus,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, dict[str, Any]]:
    """A trained model that was moved away, and what its trainer said of the unlabelled."""
    text, image = (weights.get(name, name) for name in request.param)
    folder = tmp_path_factory.mktemp("run")
    experiment = Experiment(
        variant="early_fusion",
        corpus=corpus,
        folds=folds_of(1),
        inputs=InputSettings(image_size=64, text_length=10, image_preparation="improved"),
        backbones={"text": text, "image": image},
        metric="val_loss",
        max_epochs=2,
        seed=1,
        cache=folder / "cache",
        cache_dtype="float32",
    )
    result = train_final(experiment, PARAMS, 2, folder / "model")
    moved = tmp_path_factory.mktemp("elsewhere") / "moved"
    shutil.move(folder / "model", moved)
    shutil.rmtree(folder)
    return moved, result


@pytest.mark.slow
def test_a_moved_model_predicts_as_its_trainer(
    saved: tuple[Path, dict[str, Any]], corpus: Corpus
) -> None:
    folder, result = saved
    got = Predictor(folder).probabilities(corpus.unlabelled)
    assert got.shape == (6, 3)
    assert got.dtype == np.float32
    assert got == pytest.approx(result["probabilities"], abs=1e-5)
    assert got.sum(axis=1) == pytest.approx(np.ones(6), abs=1e-5)
    # Were all samples alike, the comparison would show little.
    assert got.std(axis=0).max() > 1e-4


def test_the_decisions_are_those_of_the_trainer(
    saved: tuple[Path, dict[str, Any]], corpus: Corpus
) -> None:
    folder, result = saved
    predictions = Predictor(folder).predict(corpus.unlabelled)
    tags = [("positive", "neutral", "negative")[label] for label in result["classes"]]
    assert [p.tag for p in predictions] == tags
    assert [p.guid for p in predictions] == [sample.guid for sample in corpus.unlabelled]


def test_a_prediction_does_not_depend_on_its_batch(
    saved: tuple[Path, dict[str, Any]], corpus: Corpus
) -> None:
    predictor = Predictor(saved[0])
    together = predictor.probabilities(corpus.samples)
    assert len(together) == 36
    alone = np.concatenate([predictor.probabilities([sample]) for sample in corpus.samples[:4]])
    assert together[:4] == pytest.approx(alone, abs=1e-5)


def test_no_file_of_a_model_names_a_path_or_runs_code(
    saved: tuple[Path, dict[str, Any]], weights: Mapping[str, str], corpus: Corpus
) -> None:
    files = [path for path in saved[0].rglob("*") if path.is_file()]
    places = (Path(weights["bert"]).parent, corpus.samples[0].image.parent, saved[0], Path.home())
    roots = [str(place).encode() + b"/" for place in (*places, tempfile.gettempdir())]
    for path in files:
        raw = path.read_bytes()
        assert not [root for root in roots if root in raw], path
        assert path.suffix in {".json", ".txt", ".safetensors"}


def test_loading_a_model_unpickles_nothing(
    saved: tuple[Path, dict[str, Any]], corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        pytest.fail("a model must load without pickle")

    for owner, name in (
        (torch, "load"),
        (pickle, "load"),
        (pickle, "loads"),
        (pickle, "Unpickler"),
    ):
        monkeypatch.setattr(owner, name, refuse)
    assert len(Predictor(saved[0]).predict(corpus.unlabelled)) == 6


def test_a_model_on_random_weights_says_so(saved: tuple[Path, dict[str, Any]]) -> None:
    predictor = Predictor(saved[0])
    hashed = json.loads((saved[0] / "text" / "tokenizer_config.json").read_text())
    is_tiny = hashed.get("tokenizer_class") == "HashTokenizer"
    assert predictor.random_backbones == (["text", "image"] if is_tiny else [])


def test_no_samples_make_no_predictions(saved_tiny: Path) -> None:
    predictor = Predictor(saved_tiny)
    assert predictor.predict([]) == []
    assert predictor.probabilities([]).shape == (0, 3)


def test_predictions_are_decided_with_the_threshold() -> None:
    samples = [Sample(guid, "", Path(), "") for guid in ("a", "b")]
    probabilities = np.array([[0.4, 0.3, 0.3], [0.1, 0.2, 0.7]], dtype=np.float32)
    made = as_predictions(samples, probabilities, DecisionRule(0.5))
    assert [(p.guid, p.tag) for p in made] == [("a", "neutral"), ("b", "negative")]
    assert made[0].probabilities == pytest.approx((0.4, 0.3, 0.3))


def test_what_is_shown_is_calibrated_and_what_decides_is_not() -> None:
    # The square roots of 0.49, 0.09 and 0.42 flatten the larger poles to 0.43 and 0.39.
    probabilities = np.array([[0.49, 0.09, 0.42]], dtype=np.float32)
    (made,) = as_predictions([Sample("a", "", Path(), "")], probabilities, DecisionRule(0.45, 2.0))
    assert made.tag == "positive"
    roots = np.sqrt(probabilities[0])
    assert made.probabilities == pytest.approx(tuple(roots / roots.sum()), abs=1e-6)
