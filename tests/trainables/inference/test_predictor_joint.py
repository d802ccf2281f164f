"""Models on one backbone with two towers: trained on cached activations, saved once, moved."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import parameters_of, train_final
from tests.trainables.modules.joint_models import captioning_model, clip_model, save
from trainables.inference.predictor import Predictor
from trainables.worker import Workbench, describe

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from trainables.data.sample import Corpus
    from trainables.experiment import Experiment

MODELS = {"clip": clip_model, "blip": captioning_model}
PARAMS = {"batch_size": 8, "hidden_width": 16, "neutral_threshold": 0.36}
CUTS = [(2, 1), (0, 0)]
cases = pytest.mark.parametrize("name", MODELS)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    return {n: save(make(), tmp_path_factory.mktemp(n)) for n, make in MODELS.items()}


def layers(text: int, image: int) -> dict[str, Any]:
    return {"text_unfrozen_layers": text, "image_unfrozen_layers": image}


@pytest.mark.slow
@cases
@pytest.mark.parametrize(("text", "image"), CUTS)
@pytest.mark.parametrize("source", ["tiny", "saved"])
def test_a_moved_model_predicts_as_its_trainer(
    make_experiment: Callable[..., Experiment],
    sources: Mapping[str, str],
    corpus: Corpus,
    tmp_path: Path,
    name: str,
    source: str,
    text: int,
    image: int,
) -> None:
    backbones = {name: sources.get(name, "") if source == "saved" else "tiny"}
    experiment = make_experiment(variant=name, backbones=backbones)
    params = PARAMS | layers(text, image) | {"backbone_learning_rate": 1e-3}
    result = train_final(experiment, params, 2, tmp_path / "model")
    moved = tmp_path / "moved"
    shutil.move(tmp_path / "model", moved)
    assert sorted(path.name for path in moved.iterdir() if path.is_dir()) == [name]
    predictor = Predictor(moved)
    got = predictor.probabilities(corpus.unlabelled)
    assert got == pytest.approx(result["probabilities"], abs=1e-5)
    assert got.std(axis=0).max() > 1e-4
    assert predictor.random_backbones == ([name] if source == "tiny" else [])


@cases
@pytest.mark.parametrize(("text", "image"), CUTS)
def test_cached_equals_uncached_in_single_precision(
    make_experiment: Callable[..., Experiment],
    sources: Mapping[str, str],
    name: str,
    text: int,
    image: int,
) -> None:
    runs = []
    for settings in ({}, {"cache": None}):
        bench = Workbench(
            make_experiment(variant=name, backbones={name: sources[name]}, **settings)
        )
        run = bench.start(bench.config(PARAMS | layers(text, image)))
        epochs = [run.next_epoch() for _ in range(2)]
        runs.append((epochs, parameters_of(run.trainers)))
    for cached, uncached in zip(*(epochs for epochs, _ in runs), strict=True):
        assert cached.probabilities == pytest.approx(uncached.probabilities, abs=1e-5)
        assert cached.metrics["train_loss"] == pytest.approx(
            uncached.metrics["train_loss"], abs=1e-5
        )


@cases
def test_projections_train_even_where_the_towers_are_frozen(
    make_experiment: Callable[..., Experiment], sources: Mapping[str, str], name: str
) -> None:
    bench = Workbench(make_experiment(variant=name, backbones={name: sources[name]}))
    run = bench.start(bench.config(PARAMS | layers(0, 0)))
    run.next_epoch()
    for role, tower in bench.towers.items():
        suffix: Any = run.trainers[0].classifier.suffixes[role]
        assert not suffix.projection.weight.equal(tower.projection.weight)


def test_a_description_says_what_a_checkpoint_lacks(
    make_experiment: Callable[..., Experiment], sources: Mapping[str, str]
) -> None:
    source = sources["blip"]
    described = describe(make_experiment(variant="blip", backbones={"blip": source}))
    assert described["notes"] == [
        f"blip: {source} has no text pooler: the first token is read",
        f"blip: {source} has no text projection: it starts random and trains",
        f"blip: {source} has no image projection: it starts random and trains",
    ]
    assert described["random_backbones"] == []
