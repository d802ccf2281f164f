"""Trials in one process: cached equals uncached, and a trial owes nothing to the one before it."""

from __future__ import annotations

import gc
import pickle
import shutil
import weakref
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from tests.conftest import folds_of, parameters_of
from tests.trainables.conftest import PARAMS
from trainables.activations import residence
from trainables.activations.files import StoredActivations
from trainables.config import ConfigError, InputSettings
from trainables.evaluation.decision import decide
from trainables.modules.blocks.cut import Cut
from trainables.worker import Workbench, build_activations, describe, kept_workbench

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from torch import Tensor

    from trainables.data.sample import Corpus
    from trainables.experiment import Experiment
    from trainables.training.lockstep import EpochScores

CUDA = torch.cuda.is_available()
CUTS: tuple[dict[str, Any], ...] = (
    {"text_unfrozen_layers": 1, "image_unfrozen_layers": 1, "text_pooling": "mean"},
    {"text_unfrozen_layers": 3, "image_unfrozen_layers": 2, "text_pooling": "cls"},
    {"text_unfrozen_layers": 0, "image_unfrozen_layers": 0, "text_pooling": "mean"},
)
# Largest difference of a probability or loss after two epochs, cached against uncached: the frozen
# part runs in batches of other sizes, whose last digits differ; bfloat16 then rounds to another
# neighbour here and there.
TOLERANCE = {"float32": 1e-5, "bfloat16": 1e-3}


def epochs(bench: Workbench, count: int, **params: Any) -> tuple[list[EpochScores], list[Tensor]]:
    run = bench.start(bench.config(PARAMS | params))
    history = [run.next_epoch() for _ in range(count)]
    return history, parameters_of(run.trainers)


def scores_of(history: list[EpochScores]) -> list[dict[str, float]]:
    return [
        {name: value for name, value in epoch.metrics.items() if name != "epoch_seconds"}
        for epoch in history
    ]


@pytest.mark.slow
@pytest.mark.parametrize("precision", TOLERANCE)
@pytest.mark.parametrize("cut", CUTS)
def test_cached_equals_uncached_in_every_precision_of_what_trains(
    make_experiment: Callable[..., Experiment], cut: dict[str, Any], precision: str
) -> None:
    made = partial(make_experiment, precision=precision)
    cached, _ = epochs(Workbench(made()), 2, **cut)
    uncached, _ = epochs(Workbench(made(cache=None)), 2, **cut)
    for one, other in zip(cached, uncached, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=TOLERANCE[precision])
        loss = pytest.approx(other.metrics["train_loss"], abs=TOLERANCE[precision])
        assert one.metrics["train_loss"] == loss


@pytest.fixture
def small_gain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take a linear layer of any size for one that gains by fewer bits."""
    monkeypatch.setattr("trainables.modules.blocks.precision._LEAST_WEIGHTS", 1)


@pytest.mark.slow
@pytest.mark.usefixtures("small_gain")
@pytest.mark.parametrize("cut", CUTS)
def test_cached_equals_uncached_where_the_frozen_part_computes_in_fewer_bits(
    make_experiment: Callable[..., Experiment], cut: dict[str, Any]
) -> None:
    made = partial(make_experiment, frozen_precision="bfloat16")
    cached, _ = epochs(Workbench(made()), 2, **cut)
    uncached, _ = epochs(Workbench(made(cache=None)), 2, **cut)
    exact, _ = epochs(Workbench(make_experiment()), 2, **cut)
    for one, other, third in zip(cached, uncached, exact, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=TOLERANCE["bfloat16"])
        multiplies = cut["text_unfrozen_layers"] < 3  # else the frozen part looks up words alone
        assert (one.probabilities != third.probabilities).any() == multiplies


@pytest.mark.usefixtures("small_gain")
def test_frozen_parts_in_fewer_bits_have_files_of_their_own_and_say_nearly_the_same(
    make_experiment: Callable[..., Experiment], tmp_path: Path
) -> None:
    exact, coarser, fewer = (
        Workbench(make_experiment(**each, cache=tmp_path, cache_dtype="float32"))
        for each in ({}, {"precision": "bfloat16"}, {"frozen_precision": "bfloat16"})
    )
    rows = torch.arange(len(exact.experiment.corpus.samples))
    for role, computes_in in (("text", "bfloat16"), ("image", "float32")):
        assert fewer.towers[role].frozen_precision == computes_in, "no convolution does"
        shared = exact.key(role, Cut(1))
        assert coarser.key(role, Cut(1)) == shared, "what trains is of no matter"
        assert (fewer.key(role, Cut(1)) == shared) == (computes_in == "float32")
        one, other = (bench.source(role, Cut(1)).gather(rows).values for bench in (exact, fewer))
        assert one.dtype == other.dtype == torch.float32
        apart = (one - other).norm() / one.norm()
        assert (0 < apart < 0.02) if computes_in == "bfloat16" else apart == 0


@pytest.mark.parametrize("cut", CUTS)
def test_half_precision_on_disk_hardly_moves_a_logit(
    make_experiment: Callable[..., Experiment], cut: dict[str, Any]
) -> None:
    logits, tags = [], []
    for settings in ({"cache_dtype": "float16"}, {"cache": None}):
        bench = Workbench(make_experiment(**settings))
        (trainer,) = bench.start(bench.config(PARAMS | cut)).trainers
        rows = torch.arange(len(bench.experiment.corpus.samples))
        model = trainer.classifier.eval()
        with torch.no_grad():
            logits.append(
                model(
                    {
                        slot: bench.source(*read).gather(rows)
                        for slot, read in bench.variant.readings(
                            bench.config(PARAMS | cut)
                        ).items()
                    }
                )
            )
        tags.append(decide(trainer.predict(rows).exp().numpy()))
    assert 0 < (logits[0] - logits[1]).abs().max() < 1e-2
    assert (tags[0] == tags[1]).all()


@pytest.mark.slow
@pytest.mark.parametrize("cached", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_trial_after_others_equals_the_same_trial_alone(
    make_experiment: Callable[..., Experiment], cached: bool
) -> None:
    settings: dict[str, Any] = {"folds": folds_of(2), **({} if cached else {"cache": None})}
    used = Workbench(make_experiment(**settings))
    for cut in (CUTS[1], CUTS[0]):
        epochs(used, 1, head_learning_rate=0.3, backbone_learning_rate=0.1, **cut)
    torch.manual_seed(99)
    after, weights_after = epochs(used, 2, **CUTS[0])
    alone, weights_alone = epochs(Workbench(make_experiment(**settings)), 2, **CUTS[0])
    assert scores_of(after) == scores_of(alone)
    assert all(
        (a.probabilities == b.probabilities).all() for a, b in zip(after, alone, strict=True)
    )
    assert all(torch.equal(a, b) for a, b in zip(weights_after, weights_alone, strict=True))


def test_folds_have_seeds_of_their_own_and_trials_share_them(
    make_experiment: Callable[..., Experiment],
) -> None:
    bench = Workbench(make_experiment(folds=folds_of(2)))
    heads = [
        [
            trainer.classifier.get_parameter("head.output.weight")
            for trainer in bench.start(config).trainers
        ]
        for config in (bench.config(PARAMS), bench.config(PARAMS | {"batch_size": 4}))
    ]
    assert not torch.equal(heads[0][0], heads[0][1])
    assert torch.equal(heads[0][0], heads[1][0])
    after = Workbench(make_experiment(folds=folds_of(2), seed=bench.experiment.seed + 1))
    (first, _) = after.start(after.config(PARAMS)).trainers
    shifted = first.classifier.get_parameter("head.output.weight")
    assert not torch.equal(heads[0][1], shifted), "no fold of another seed starts alike"


def test_a_trial_takes_the_epochs_of_its_experiment(
    make_experiment: Callable[..., Experiment],
) -> None:
    bench = Workbench(make_experiment(max_epochs=5))
    assert bench.config({}).max_epochs == 5
    assert bench.config({"max_epochs": 2}).max_epochs == 2


def test_bad_hyperparameters_are_named_all_at_once(
    make_experiment: Callable[..., Experiment],
) -> None:
    with pytest.raises(ConfigError) as error:
        Workbench(make_experiment()).config({"head_dropout": 1, "hiden_width": 4, "batch_size": 0})
    assert str(error.value).splitlines() == [
        "EarlyFusionConfig has no parameter 'hiden_width'; did you mean 'hidden_width'?",
        "batch_size must be >= 1, got 0",
        "head_dropout must be in [0, 1), got 1",
    ]


def test_more_unfrozen_layers_than_there_are_are_refused(
    make_experiment: Callable[..., Experiment],
) -> None:
    bench = Workbench(make_experiment())
    with pytest.raises(
        ValueError, match=r"text_unfrozen_layers must be in \[0, 3\] for tiny, got 4"
    ):
        bench.start(bench.config({"text_unfrozen_layers": 4}))


def test_activations_are_mapped_once_for_all_poolings_of_a_cut(
    make_experiment: Callable[..., Experiment],
) -> None:
    bench = Workbench(make_experiment())
    source = bench.source("text", Cut(1, "mean"))
    assert isinstance(source, StoredActivations)
    assert bench.source("text", Cut(1, "cls")) is source
    assert bench.source("text", Cut(0, "cls")) is not bench.source("text", Cut(0, "mean"))


def test_activations_of_earlier_trials_are_let_go(
    make_experiment: Callable[..., Experiment],
) -> None:
    bench = Workbench(make_experiment())
    bench.start(bench.config(PARAMS | CUTS[0]))
    readings = bench.variant.readings(bench.config(PARAMS | CUTS[0]))
    before = {slot: weakref.ref(bench.source(*read)) for slot, read in readings.items()}
    bench.start(bench.config(PARAMS | CUTS[0] | {"text_unfrozen_layers": 2}))
    assert before["image"]() is bench.source(*readings["image"]), "read again as it is"
    assert before["text"]() is None


def test_a_build_for_many_trials_leaves_nothing_to_build(
    make_experiment: Callable[..., Experiment],
) -> None:
    experiment = make_experiment()
    first = list(build_activations(experiment, CUTS))
    assert {step.role for step in first} == {"text", "image"}
    assert not any(step.cached for step in first)
    again = list(build_activations(experiment, CUTS))
    assert [(step.role, step.cached) for step in again] == [("text", True), ("image", True)]


@pytest.mark.slow
def test_a_process_keeps_the_workbench_of_one_experiment_and_of_no_other(
    make_experiment: Callable[..., Experiment],
) -> None:
    first, other = make_experiment(), make_experiment()
    cpu, copy = torch.device("cpu"), pickle.loads(pickle.dumps(first))
    bench = kept_workbench(first.identity, cpu, lambda: first)
    assert kept_workbench(copy.identity, cpu, lambda: copy) is bench, "as another process sent it"
    assert replace(first, seed=8).identity != first.identity
    kept = weakref.ref(bench)
    del bench
    assert kept_workbench(other.identity, cpu, lambda: other).experiment is other
    gc.collect()
    assert kept() is None


@pytest.mark.slow
@pytest.mark.parametrize(
    "device",
    ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not CUDA, reason="needs a GPU"))],
)
def test_where_activations_lie_changes_no_epoch(
    make_experiment: Callable[..., Experiment], monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    moved: list[torch.device] = []
    move = StoredActivations.to

    def to(stored: StoredActivations, device: torch.device) -> StoredActivations:
        moved.append(device)
        copy = move(stored, device)
        # On the CPU, that is the mapped file itself: a copy in memory stands in for a GPU's.
        with torch.inference_mode():
            lengths = None if copy._lengths is None else copy._lengths.clone()
            return StoredActivations(copy._values.clone(), lengths)

    monkeypatch.setattr(StoredActivations, "to", to)
    if device == "cpu":
        monkeypatch.setattr(residence, "is_apart", lambda _: True)
        monkeypatch.setattr(residence, "_left_to_take", lambda _: 10**9)
    runs = []
    for resident, count in (("device", 2), ("host", 0), ("auto", 2)):
        moved.clear()
        bench = Workbench(make_experiment(resident=resident), torch.device(device))
        runs.append(epochs(bench, 2))
        assert moved == [torch.device(device)] * count
    moved.clear()
    bench.start(bench.config(PARAMS), accumulation_steps=2)
    assert moved == [], "memory was short: what may stay on the host does"
    for history, weights in runs[1:]:
        assert scores_of(history) == scores_of(runs[0][0])
        assert all(torch.equal(a, b) for a, b in zip(weights, runs[0][1], strict=True))


def test_a_description_says_which_backbones_are_random(
    make_experiment: Callable[..., Experiment], weights: Mapping[str, str]
) -> None:
    experiment = make_experiment(backbones={"text": weights["bert"], "image": "tiny"})
    described = describe(experiment)
    bench = Workbench(experiment)
    assert described["random_backbones"] == ["image"]
    assert described["fingerprints"] == {r: t.fingerprint for r, t in bench.towers.items()}
    assert described["parameters"]["total"] > described["parameters"]["trainable"] > 0


def test_a_description_says_the_precision_to_train_in(
    make_experiment: Callable[..., Experiment], monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[list[torch.nn.Module]] = []

    def choose(_: torch.device, training: Iterable[torch.nn.Module]) -> tuple[str, float]:
        measured.append(list(training))
        return "bfloat16", 2.5

    def choose_frozen(_: torch.device, frozen: Iterable[torch.nn.Module]) -> tuple[str, float]:
        kept.append(list(frozen))
        return "bfloat16", 3.5

    kept: list[list[torch.nn.Module]] = []
    monkeypatch.setattr("trainables.worker.choose_precision", choose)
    monkeypatch.setattr("trainables.worker.choose_frozen_precision", choose_frozen)
    described = describe(make_experiment(), CUTS)
    assert (described["precision"], described["speedup"]) == ("bfloat16", 2.5)
    (training,) = measured
    bench = Workbench(make_experiment())
    expected = [bench.towers[role].suffix(Cut(1)) for role in ("text", "image")]
    assert [list(m.state_dict()) for m in training] == [list(m.state_dict()) for m in expected]
    assert (described["frozen_precision"], described["frozen_speedup"]) == ("bfloat16", 3.5)
    assert [len(models) for models in kept] == [2], "both towers, whole"
    resumed = make_experiment(precision="float16", frozen_precision="float32")
    described = describe(resumed, CUTS)
    assert (described["precision"], described["speedup"]) == ("float16", None)
    assert (described["frozen_precision"], described["frozen_speedup"]) == ("float32", None)
    assert len(kept) == 1
    describe(make_experiment(), [CUTS[2]])
    assert measured[1:] == [[]], "nothing of a tower trains, and nothing else was measured"


@pytest.mark.parametrize(
    ("content", "note"),
    [
        ('{"size": {"height": 384, "width": 384}}', "squeezed to 384 x 384 pixels; here they are"),
        (None, "has no preprocessor_config.json"),
    ],
)
def test_a_description_says_how_images_are_read_otherwise_than_the_checkpoint_was_trained(
    make_experiment: Callable[..., Experiment],
    weights: Mapping[str, str],
    tmp_path: Path,
    content: str | None,
    note: str,
) -> None:
    folder = Path(shutil.copytree(weights["vit"], tmp_path / "vit"))
    (folder / "preprocessor_config.json").unlink()
    if content is not None:
        (folder / "preprocessor_config.json").write_text(content)
    backbones = {"text": "tiny", "image": str(folder)}
    (said,) = describe(make_experiment(backbones=backbones))["notes"]
    assert said.startswith(f"image: {folder} ")
    assert note in said


def test_a_description_says_how_many_words_a_tokenizer_does_not_know(
    make_experiment: Callable[..., Experiment], weights: Mapping[str, str], corpus: Corpus
) -> None:
    backbones = {"text": weights["bert"], "image": "tiny"}
    assert describe(make_experiment(backbones=backbones))["notes"] == []
    samples = tuple(replace(sample, text="\u4f60 day") for sample in corpus.labelled)
    foreign = replace(corpus, labelled=samples, unlabelled=())
    (said,) = describe(make_experiment(backbones=backbones, corpus=foreign))["notes"]
    assert said == (
        f"text: 25% of the tokens of 30 texts are unknown to the tokenizer of {weights['bert']}: "
        "is it meant for such texts?"
    )


def test_a_description_refuses_texts_longer_than_the_backbone_has_places(
    make_experiment: Callable[..., Experiment], weights: Mapping[str, str]
) -> None:
    backbones = {"text": weights["bert"], "image": "tiny"}
    inputs = InputSettings(image_size=64, text_length=513)
    with pytest.raises(ValueError, match=r"^--text-length must be <= 512 for .*, got 513$"):
        describe(make_experiment(backbones=backbones, inputs=inputs))


@pytest.mark.parametrize(
    "backbones", [("bert", "vit"), ("roberta", "mobilenet"), ("distilbert", "resnet")]
)
def test_every_family_trains(
    make_experiment: Callable[..., Experiment],
    weights: Mapping[str, str],
    backbones: tuple[str, str],
) -> None:
    text, image = (weights[name] for name in backbones)
    bench = Workbench(make_experiment(backbones={"text": text, "image": image}))
    history, _ = epochs(bench, 2, text_pooling="cls")
    losses = [epoch.metrics["train_loss"] for epoch in history]
    assert np.isfinite(losses).all()
    assert losses[0] != losses[1]


def test_the_cache_stays_as_it_was_built(
    make_experiment: Callable[..., Experiment], tmp_path: Path
) -> None:
    bench = Workbench(make_experiment())
    epochs(bench, 1, **CUTS[0])
    files = {path: path.read_bytes() for path in (tmp_path / "cache").glob("*.safetensors")}
    epochs(bench, 1, head_learning_rate=0.5, **CUTS[0])
    assert len(files) == 2
    assert all(path.read_bytes() == raw for path, raw in files.items())
