"""The model that ships: trained on all labelled samples for the epochs asked, then saved."""

from __future__ import annotations

import errno
from dataclasses import replace
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load, load_file

from tests.conftest import NARROW, folds_of, tiny_experiment, train_final
from trainables.data.sample import Fold
from trainables.evaluation.decision import DecisionRule, Precision, decide
from trainables.inference import model_folder
from trainables.inference.about import read_about
from trainables.inference.predictor import Predictor
from trainables.tasks.baseline import fit_regression, regress_fold
from trainables.tasks.final import assemble, mean_of, train_member, validate_joining
from trainables.tasks.final_member import FinalMember
from trainables.worker import Workbench

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from trainables.data.sample import Corpus
    from trainables.experiment import Experiment

PARAMS = NARROW | {"neutral_threshold": 0.37}


@pytest.mark.slow
@pytest.mark.parametrize("schedule", ["cosine", "plateau"])
def test_the_final_model_trained_on_every_labelled_sample(
    make_experiment: Callable[..., Experiment], tmp_path: Path, schedule: str
) -> None:
    experiment = make_experiment(max_epochs=4)
    params = PARAMS | {"schedule": schedule}
    result = train_final(experiment, params, 2, tmp_path / "model")
    bench = Workbench(experiment)
    rows = np.arange(30)
    config = bench.config(params)
    (trainer,) = bench.start(config, [Fold(rows, rows[:0])], [experiment.seed]).trainers
    for _ in range(2):
        trainer.train_epoch()
    saved = load_file(tmp_path / "model" / "classifier.safetensors")
    for name, value in trainer.classifier.state_dict().items():
        assert torch.equal(saved[name], value)
    assert result["model_parameters"] == bench.count(trainer.classifier)["total"]


@pytest.mark.slow
def test_the_unlabelled_are_predicted_in_their_order(
    make_experiment: Callable[..., Experiment], tmp_path: Path
) -> None:
    experiment = make_experiment()
    result = train_final(experiment, PARAMS, 1, tmp_path / "model")
    expected = Predictor(tmp_path / "model").probabilities(experiment.corpus.unlabelled)
    assert result["probabilities"] == pytest.approx(expected, abs=1e-5)
    assert result["probabilities"].dtype == np.float32
    assert result["classes"].tolist() == decide(result["probabilities"], 0.37).tolist()


@pytest.mark.slow
def test_the_same_seed_makes_the_same_model(
    make_experiment: Callable[..., Experiment], tmp_path: Path
) -> None:
    for name in ("one", "other"):
        train_final(make_experiment(), PARAMS, 1, tmp_path / name)
    files = [
        (tmp_path / name / "classifier.safetensors").read_bytes() for name in ("one", "other")
    ]
    assert files[0] == files[1]


def test_a_corpus_without_unlabelled_samples_predicts_none(
    make_experiment: Callable[..., Experiment], tmp_path: Path
) -> None:
    experiment = make_experiment()
    alone = replace(experiment, corpus=replace(experiment.corpus, unlabelled=()))
    result = train_final(alone, PARAMS, 1, tmp_path / "model")
    assert result["probabilities"].shape == (0, 3)
    assert result["classes"].shape == (0,)


def test_a_model_that_is_there_is_replaced_whole(
    make_experiment: Callable[..., Experiment], tmp_path: Path
) -> None:
    for stale in ("model", "model.partial"):
        (tmp_path / stale).mkdir()
        (tmp_path / stale / "stale").touch()
    train_final(make_experiment(), PARAMS, 1, tmp_path / "model")
    assert not (tmp_path / "model" / "stale").exists()
    assert not (tmp_path / "model.partial").exists()


@pytest.mark.slow
def test_a_disk_that_fills_costs_neither_the_old_model_nor_the_next(
    make_experiment: Callable[..., Experiment], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        assert (tmp_path / "model.partial").is_dir()
        msg = "Error while serializing: I/O error: No space left on device (os error 28)"
        raise SafetensorError(msg)

    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "old").touch()
    with monkeypatch.context() as patched:
        patched.setattr(model_folder, "save_file", refuse)
        with pytest.raises(OSError, match="No space left on device") as error:
            train_final(make_experiment(), PARAMS, 1, tmp_path / "model")
    assert error.value.errno == errno.ENOSPC
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["old"]
    assert not (tmp_path / "model.partial").exists(), "what is unfinished takes room"
    train_final(make_experiment(), PARAMS, 1, tmp_path / "model")
    assert not (tmp_path / "model" / "old").exists()
    assert Predictor(tmp_path / "model").predict(make_experiment().corpus.unlabelled)


@pytest.mark.slow
def test_several_members_are_averaged_by_their_shares_and_predict_alike_from_disk(
    make_experiment: Callable[..., Experiment], tmp_path: Path
) -> None:
    experiment = make_experiment()
    bench, rule = Workbench(experiment), DecisionRule(0.37, 1.5, neutral_weight=1.2)
    rows = np.arange(30)
    other = PARAMS | {
        "image_unfrozen_layers": 0,
        "hidden_width": 8,
    }  # cut elsewhere, of other size
    one = FinalMember(PARAMS, [train_member(bench, PARAMS, rows, 1, seed=1)])
    two = FinalMember(other, [train_member(bench, other, rows[:20], 2, seed=2)], 3.0)
    result = assemble(bench, [one, two], rule, tmp_path / "model")
    predictor = Predictor(tmp_path / "model")
    unlabelled = experiment.corpus.unlabelled
    alone = []
    for name, member in {"one": one, "two": two}.items():
        assemble(bench, [member], rule, tmp_path / name)
        alone.append(Predictor(tmp_path / name).probabilities(unlabelled))
    mean = 0.25 * alone[0] + 0.75 * alone[1]
    assert predictor.probabilities(unlabelled) == pytest.approx(mean, abs=1e-5)
    assert result["probabilities"] == pytest.approx(rule.calibrate(mean), abs=1e-5)
    assert result["classes"].tolist() == rule.decide(mean).tolist()
    assert predictor.rule == rule


def mixed_members(bench: Workbench) -> list[FinalMember]:
    """Members of other sources, depths and kinds, which share towers and prefixes."""
    rows = np.arange(30)
    shallow = PARAMS | {"text_backbone": "bert", "text_unfrozen_layers": 1}
    configs: list[tuple[dict[str, Any], float]] = [
        (shallow, 0.5),
        (shallow | {"hidden_width": 8}, 1.0),
        (shallow | {"text_unfrozen_layers": 2, "image_unfrozen_layers": 0}, 1.0),
        (PARAMS | {"text_backbone": "bert+roberta", "lexicon": True}, 1.5),
    ]
    trained = [
        FinalMember(params, [train_member(bench, params, rows, 1, seed=k)], share)
        for k, (params, share) in enumerate(configs)
    ]
    reads = {"text_backbone": "bert", "text_pooled_layers": "both", "lexicon": True}
    regression = FinalMember(reads, [fit_regression(bench, reads, rows)], 6.0, "regression")
    return [*trained, regression]


def two_sources(weights: Mapping[str, str], corpus: Corpus, **changes: Any) -> Experiment:
    sources = {f"text/{name}": weights[name] for name in ("bert", "roberta")}
    backbones = {**sources, "image": weights["vit"]}
    return tiny_experiment(corpus=corpus, backbones=backbones, **changes)


Mixed = tuple[Workbench, list[FinalMember], dict[str, Any], Any]


@pytest.fixture(scope="module")
def mixed(
    weights: Mapping[str, str], corpus: Corpus, tmp_path_factory: pytest.TempPathFactory
) -> Mixed:
    """A bench of two text sources, members of it, and what they were assembled to."""
    bench = Workbench(two_sources(weights, corpus))
    members = mixed_members(bench)
    folder = tmp_path_factory.mktemp("mixed") / "model"
    return bench, members, assemble(bench, members, DecisionRule(0.37), folder), folder


@pytest.mark.slow
def test_members_of_other_configs_and_kinds_are_averaged_by_their_shares(
    mixed: Mixed, tmp_path: Path
) -> None:
    bench, members, result, folder = mixed
    unlabelled = bench.experiment.corpus.unlabelled
    mean = np.zeros((6, 3))
    for number, member in enumerate(members):
        assemble(bench, [member], DecisionRule(0.0), tmp_path / str(number))
        alone = Predictor(tmp_path / str(number)).probabilities(unlabelled)
        mean += member.share / 10 * alone
    assert Predictor(folder).probabilities(unlabelled) == pytest.approx(mean, abs=1e-5)
    assert result["probabilities"] == pytest.approx(mean, abs=1e-5)
    assert result["classes"].tolist() == decide(mean, 0.37).tolist()
    counts = [
        Predictor(tmp_path / str(number))._members[0].classifier for number in range(len(members))
    ]
    assert result["model_parameters"] == max(bench.count(one)["total"] for one in counts)


def test_a_regression_predicts_as_it_was_validated(mixed: Mixed, tmp_path: Path) -> None:
    bench, members, *_ = mixed
    regression = members[-1]
    assemble(bench, [regression], DecisionRule(0.0), tmp_path / "model")
    labelled = bench.experiment.corpus.labelled
    found = Predictor(tmp_path / "model").probabilities(labelled)
    everything = Fold(np.arange(30), np.arange(30))
    expected = regress_fold(bench, everything, regression.params)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_folder_holds_each_tower_once_and_what_each_member_is(mixed: Mixed) -> None:
    *_, folder = mixed
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*.safetensors")}
    classifiers = {"classifier.safetensors", *(f"classifier-{n}.safetensors" for n in range(2, 6))}
    towers = {"text/bert", "text/roberta", "image"}
    assert files == classifiers | {f"{name}/model.safetensors" for name in towers}
    kinds = [member["kind"] for member in read_about(folder)["members"]]
    assert kinds == ["trained"] * 4 + ["regression"]
    regression = load_file(folder / "classifier-5.safetensors")
    assert {*regression} == {"head.linear.weight", "head.linear.bias"}


def test_a_source_that_no_member_reads_is_left_out(mixed: Mixed, tmp_path: Path) -> None:
    bench, members, *_ = mixed
    assemble(bench, [members[0], members[-1]], DecisionRule(0.0), tmp_path / "model")
    assert [path.name for path in (tmp_path / "model" / "text").iterdir()] == ["bert"]


@pytest.mark.slow
def test_averaged_weights_are_one_member_and_their_mean(
    make_experiment: Callable[..., Experiment], tmp_path: Path
) -> None:
    bench, rows = Workbench(make_experiment()), np.arange(30)
    weights = [train_member(bench, PARAMS, rows[k:], 1, seed=1) for k in range(3)]
    assemble(bench, [FinalMember(PARAMS, weights)], DecisionRule(0.0), tmp_path / "model")
    assert len(list((tmp_path / "model").glob("classifier*"))) == 1
    saved = load_file(tmp_path / "model" / "classifier.safetensors")
    states = [load(one) for one in weights]
    for name, value in saved.items():
        if value.is_floating_point():
            torch.testing.assert_close(value, sum(state[name] for state in states) / 3)


def test_counts_are_not_averaged() -> None:
    states = [{"count": torch.tensor(3), "weight": torch.tensor(w)} for w in (1.0, 2.0)]
    assert mean_of(states) == {"count": torch.tensor(3), "weight": torch.tensor(1.5)}


@pytest.mark.slow
def test_joining_is_validated_on_samples_that_no_member_saw(
    make_experiment: Callable[..., Experiment],
) -> None:
    bench = Workbench(make_experiment())
    folds = folds_of(3)
    inner = [np.setdiff1d(folds[0].train, fold.val) for fold in folds[1:]]
    found = validate_joining(bench, PARAMS, folds[0], inner, 2, seed=5)
    assert found["members"].shape == (2, 6, 3)
    assert found["average"].shape == (6, 3)
    assert found["average"].sum(axis=1) == pytest.approx(np.ones(6), abs=1e-5)
    for rows, said in zip(inner, found["members"], strict=True):
        (trainer,) = bench.start(bench.config(PARAMS), [Fold(rows, rows[:0])], [5]).trainers
        for _ in range(2):
            trainer.train_epoch()
        expected = trainer.predict(torch.tensor(folds[0].val)).exp().numpy()
        assert (said == expected).all()


def shipped(experiment: Experiment, folder: Path, within: float) -> tuple[Predictor, Any]:
    """Train and ship a model, which says of the unlabelled pairs what it said when trained."""
    trained = train_final(experiment, PARAMS, 1, folder)["probabilities"]
    predictor = Predictor(folder)
    said = predictor.probabilities(experiment.corpus.unlabelled)
    assert said == pytest.approx(trained, abs=within)
    return predictor, said


@pytest.mark.slow
def test_a_model_predicts_in_the_precision_that_its_threshold_was_chosen_in(
    make_experiment: Callable[..., Experiment], tmp_path: Path
) -> None:
    said = {}
    for precision in get_args(Precision):
        experiment = make_experiment(cache=None, precision=precision)
        predictor, said[precision] = shipped(experiment, tmp_path / precision, within=1e-6)
        assert predictor.rule.precision == precision
    for fewer in ("bfloat16", "float16"):
        assert abs(said[fewer] - said["float32"]).max() > 1e-5


@pytest.mark.slow
def test_a_model_embeds_in_the_precision_that_its_threshold_was_chosen_in(
    make_experiment: Callable[..., Experiment], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainables.modules.blocks.precision._LEAST_WEIGHTS", 1)
    said = {}
    for precision in ("float32", "bfloat16"):
        experiment = make_experiment(cache=None, frozen_precision=precision)
        predictor, said[precision] = shipped(experiment, tmp_path / precision, within=1e-3)
        assert predictor.rule.frozen_precision == precision
    apart = abs(said["bfloat16"] - said["float32"]).max()
    assert apart > 1e-5
    exact = predictor.probabilities(experiment.corpus.unlabelled, "float32")
    again = predictor.probabilities(experiment.corpus.unlabelled)
    assert abs(exact - again).max() > 1e-5, "its own weights, in float32 and in what it decides in"
    assert (again == said["bfloat16"]).all(), "it computes as before again"


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_every_member_of_a_model_predicts_in_its_precision(
    weights: Mapping[str, str], corpus: Corpus, tmp_path: Path, mixed: Mixed, precision: Precision
) -> None:
    bench = Workbench(two_sources(weights, corpus, precision=precision, cache=None))
    members, rest = mixed[1], corpus.unlabelled
    for number, member in enumerate(members):
        shipped, exact = tmp_path / str(number), tmp_path / f"exact-{number}"
        assembled = assemble(bench, [member], DecisionRule(0.0), shipped)["probabilities"]
        assemble(mixed[0], [member], DecisionRule(0.0), exact)
        said = Predictor(shipped).probabilities(rest)
        assert said == pytest.approx(assembled, abs=1e-6)
        differs = (said != Predictor(exact).probabilities(rest)).any()
        assert differs == (member.kind == "trained"), "a regression computes in float32"
