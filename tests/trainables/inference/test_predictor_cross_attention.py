"""Models whose text reads its image: cached, resumed, saved and moved as any other."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
import torch

from tests.conftest import parameters_of, train_final
from tests.trainables.modules.joint_models import captioning_model, save
from trainables.inference.about import ModelError
from trainables.inference.predictor import Predictor
from trainables.worker import Workbench

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trainables.data.sample import Corpus
    from trainables.experiment import Experiment

PARAMS = {
    "fusion": "cross",
    "batch_size": 8,
    "hidden_width": 16,
    "head_learning_rate": 1e-2,
    "backbone_learning_rate": 1e-3,
    "schedule": "cosine",  # the lab's plateau starts at its highest rates, without a warm-up
}
LAYERS = {"frozen": (0, 0), "text": (2, 0), "both": (1, 1), "image": (0, 1)}
each = pytest.mark.parametrize(("text", "image"), LAYERS.values(), ids=LAYERS)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save(captioning_model(vision_width=48), tmp_path_factory.mktemp("captions"))


@pytest.fixture
def bench_of(make_experiment: Callable[..., Experiment], source: str) -> Callable[..., Workbench]:
    def make(**changes: Any) -> Workbench:
        return Workbench(make_experiment(variant="blip", backbones={"blip": source}, **changes))

    return make


def params(text: int, image: int) -> dict[str, Any]:
    return PARAMS | {"text_unfrozen_layers": text, "image_unfrozen_layers": image}


@each
def test_cached_equals_uncached_and_both_learn(
    bench_of: Callable[..., Workbench], text: int, image: int
) -> None:
    runs = []
    for changes in ({}, {"cache": None}):
        bench = bench_of(**changes)
        run = bench.start(bench.config(params(text, image)))
        runs.append([run.next_epoch() for _ in range(2)])
    for kept, live in zip(*runs, strict=True):
        assert kept.probabilities == pytest.approx(live.probabilities, abs=2e-5)
    assert runs[0][1].metrics["train_loss"] < runs[0][0].metrics["train_loss"]


@each
def test_a_resumed_trial_equals_an_unbroken_one(
    bench_of: Callable[..., Workbench], text: int, image: int
) -> None:
    bench = bench_of()
    config = bench.config(params(text, image))
    unbroken, broken, resumed = (bench.start(config) for _ in range(3))
    unbroken.next_epoch(), unbroken.next_epoch()
    broken.next_epoch()
    resumed.load_state_dict(broken.state_dict())
    resumed.next_epoch()
    wanted = parameters_of(unbroken.trainers)
    for got, expected in zip(parameters_of(resumed.trainers), wanted, strict=True):
        assert torch.equal(got, expected)


@each
def test_a_moved_model_predicts_as_its_trainer(
    bench_of: Callable[..., Workbench], corpus: Corpus, tmp_path: Path, text: int, image: int
) -> None:
    result = train_final(bench_of().experiment, params(text, image), 1, tmp_path / "model")
    moved = tmp_path / "moved"
    shutil.move(tmp_path / "model", moved)
    predictor = Predictor(moved)
    got = predictor.probabilities(corpus.unlabelled)
    assert got == pytest.approx(result["probabilities"], abs=1e-5)
    assert got.std(axis=0).max() > 1e-4
    with pytest.raises(ModelError, match=r"fusion=cross\) cannot be explained by parts$"):
        predictor.explainer()


def test_the_image_is_read(bench_of: Callable[..., Workbench]) -> None:
    bench = bench_of(cache=None)
    config = bench.config(params(0, 0))
    classifier = bench.variant.build(config, bench.towers).eval()
    source = bench.source(*bench.variant.readings(config)["pair"])
    rows = torch.tensor([2, 5])
    with torch.no_grad():
        said = classifier({"pair": source.gather(rows)})
        raw = bench.raw("pair").gather(rows)
        assert raw.encoder_hidden_states is not None
        blind = raw._replace(encoder_hidden_states=torch.zeros_like(raw.encoder_hidden_states))
        source._raw = type("Blind", (), {"gather": lambda *_: blind})()  # type: ignore[attr-defined]
        assert not torch.allclose(classifier({"pair": source.gather(rows)}), said, atol=1e-4)
