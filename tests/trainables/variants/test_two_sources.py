"""Two sources of a role: each alone is as if there were no other, both are side by side."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from tests.conftest import NARROW, folds_of, parameters_of, train_final
from trainables.config import ConfigError
from trainables.inference.predictor import Predictor
from trainables.modules.blocks.cut import Cut
from trainables.variants import VARIANTS
from trainables.worker import Workbench, describe

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from torch import Tensor

    from trainables.data.sample import Corpus
    from trainables.experiment import Experiment
    from trainables.training.fold import FoldTrainer

ROWS = torch.arange(6)
PARAMS = NARROW | {"text_unfrozen_layers": 1, "head_learning_rate": 1e-2}
BOTH = PARAMS | {"text_backbone": "bert+roberta"}


@pytest.fixture
def sources(weights: Mapping[str, str]) -> dict[str, str]:
    """Two text encoders of one width with other vocabularies' use, and one image encoder."""
    texts = {f"text/{name}": weights[name] for name in ("bert", "roberta")}
    return {**texts, "image": weights["mobilenet"]}


def trained(bench: Workbench, params: Mapping[str, Any]) -> FoldTrainer:
    (trainer,) = bench.start(bench.config(params)).trainers
    trainer.train_epoch()
    return trainer


@pytest.mark.parametrize("name", ["bert", "roberta"])
def test_a_source_alone_is_the_search_with_that_source_alone_bit_for_bit(
    make_experiment: Callable[..., Experiment],
    sources: dict[str, str],
    weights: Mapping[str, str],
    name: str,
) -> None:
    among = Workbench(make_experiment(backbones=sources))
    alone = Workbench(
        make_experiment(backbones={"text": weights[name], "image": weights["mobilenet"]})
    )
    chosen, only = trained(among, PARAMS | {"text_backbone": name}), trained(alone, PARAMS)
    for got, wanted in zip(parameters_of([chosen]), parameters_of([only]), strict=True):
        assert torch.equal(got, wanted)
    assert torch.equal(chosen.predict(ROWS), only.predict(ROWS))
    assert among.count(chosen.classifier) == alone.count(only.classifier)
    other = ({"bert", "roberta"} - {name}).pop()
    assert f"text/{other}" not in among.towers._loaded, "what is not read is not loaded"
    keys = among.key(f"text/{name}", Cut(1)), alone.key("text", Cut(1))
    assert keys[0].digest == keys[1].digest, "both searches share the file"


def test_the_first_source_is_read_where_none_is_named(
    make_experiment: Callable[..., Experiment], sources: dict[str, str]
) -> None:
    bench = Workbench(make_experiment(backbones=sources, cache=None))
    assert bench.config(PARAMS).text_backbone == "bert"  # type: ignore[attr-defined] # of a pair


def test_a_source_that_is_not_there_is_refused(
    make_experiment: Callable[..., Experiment], sources: dict[str, str]
) -> None:
    bench = Workbench(make_experiment(backbones=sources))
    with pytest.raises(ConfigError, match="has no backbone text/mpnet; known are text/bert, text"):
        bench.config(PARAMS | {"text_backbone": "bert+mpnet"})
    for name in ("bert+bert", "bert+", "../bert", "a+b+c"):
        with pytest.raises(
            ConfigError, match="text_backbone must be the name of a source, or two"
        ):
            bench.config(PARAMS | {"text_backbone": name})


@pytest.mark.parametrize("second", [0, 1])
def test_two_sources_stand_side_by_side_as_by_hand(
    make_experiment: Callable[..., Experiment], sources: dict[str, str], second: int
) -> None:
    bench = Workbench(make_experiment(backbones=sources, cache=None))
    config = bench.config(BOTH | {"text_second_unfrozen_layers": second})
    classifier = bench.variant.build(config, bench.towers).eval()
    seen: list[Mapping[str, Tensor]] = []
    classifier.head.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    readings = bench.variant.readings(config)
    assert list(readings) == ["text", "text_second", "image"]
    with torch.no_grad():
        classifier({slot: bench.source(*read).gather(ROWS) for slot, read in readings.items()})
        wanted = [
            bench.towers[name].uncut(bench.raw(name).gather(ROWS), "mean")
            for name in ("text/bert", "text/roberta")
        ]
    assert seen[0].keys() == {"text", "image"}
    torch.testing.assert_close(seen[0]["text"], torch.cat(wanted, dim=1), atol=1e-5, rtol=1e-5)


def test_gradients_flow_to_the_unfrozen_layers_of_both_at_rates_of_their_own(
    make_experiment: Callable[..., Experiment], sources: dict[str, str]
) -> None:
    bench = Workbench(make_experiment(backbones=sources))
    rates = {"backbone_learning_rate": 1e-3, "text_second_learning_rate": 5e-3}
    config = bench.config(BOTH | rates | {"text_second_unfrozen_layers": 2})
    (trainer,) = bench.start(config).trainers
    before = [p.detach().clone() for p in trainer.classifier.parameters()]
    trainer.train_epoch()
    moved: dict[str, set[bool]] = {"text": set(), "text_second": set()}
    for (name, now), then in zip(trainer.classifier.named_parameters(), before, strict=True):
        if name.startswith("suffixes.text") and now.requires_grad:
            moved[name.split(".")[1]].add(not torch.equal(now, then))
    assert moved == {"text": {True}, "text_second": {True}}
    (fresh,) = bench.start(config).trainers
    groups = fresh.optimizer.param_groups
    by_parameter = {id(p): group["initial_lr"] for group in groups for p in group["params"]}
    for name, parameter in fresh.classifier.named_parameters():
        if parameter.requires_grad:
            second = name.startswith("suffixes.text_second")
            wanted = 5e-3 if second else 1e-3 if name.startswith("suffixes") else 1e-2
            assert by_parameter[id(parameter)] == wanted, name


@pytest.mark.slow
@pytest.mark.parametrize("params", [BOTH, PARAMS | {"text_backbone": "roberta"}])
def test_a_model_folder_predicts_as_its_members_and_holds_what_it_reads_alone(
    make_experiment: Callable[..., Experiment],
    sources: dict[str, str],
    params: Mapping[str, Any],
    tmp_path: Path,
    corpus: Corpus,
) -> None:
    changed = {"text_pooled_layers": "third_last", "text_unfrozen_layers": 0}
    params = {**params, **changed, "text_cleaning": "basic", "image_preparation": "imagenet"}
    experiment = make_experiment(backbones=sources)
    said = train_final(experiment, params, 1, tmp_path / "model")
    names = {path.name for path in (tmp_path / "model" / "text").iterdir()}
    assert names == set(str(params["text_backbone"]).split("+"))
    got = Predictor(tmp_path / "model").probabilities(corpus.unlabelled)
    assert got == pytest.approx(said["probabilities"], abs=1e-5)
    assert said["model_parameters"] == sum(
        Workbench(experiment).towers[f"text/{name}"].parameter_count for name in names
    ) + Workbench(experiment).towers["image"].parameter_count + head_parameters(experiment, params)


def head_parameters(experiment: Experiment, params: Mapping[str, Any]) -> int:
    bench = Workbench(experiment)
    head = bench.variant.build(bench.config(params), bench.towers).head
    return sum(p.numel() for p in head.parameters())


def test_every_source_is_described_by_name(
    make_experiment: Callable[..., Experiment], sources: dict[str, str]
) -> None:
    told = describe(make_experiment(backbones={**sources, "text/bert": "tiny"}))
    assert list(told["fingerprints"]) == ["text/bert", "text/roberta", "image"]
    assert told["random_backbones"] == ["text/bert"]


@pytest.mark.slow
@pytest.mark.parametrize("fusion", ["add", "concat", "cross"])
def test_two_checkpoints_of_both_roles_train_and_predict(
    make_experiment: Callable[..., Experiment], tmp_path: Path, corpus: Corpus, fusion: str
) -> None:
    # Two copies of one: what differs is told by their names alone.
    backbones = {"blip/one": "tiny", "blip/two": "tiny"}
    experiment = make_experiment(variant="blip", backbones=backbones, folds=folds_of(1))
    params = {"blip_backbone": "one+two", "fusion": fusion, "batch_size": 8, "hidden_width": 16}
    params |= {"image_second_unfrozen_layers": 1, "text_second_unfrozen_layers": 1}
    said = train_final(experiment, params, 1, tmp_path / "model")
    got = Predictor(tmp_path / "model").probabilities(corpus.unlabelled)
    assert got == pytest.approx(said["probabilities"], abs=1e-5)
    assert {path.name for path in (tmp_path / "model" / "blip").iterdir()} == {"one", "two"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "changed", [{"text_cleaning": "basic"}, {"image_preparation": "imagenet"}]
)
def test_an_input_as_a_hyperparameter_is_the_search_with_that_input(
    make_experiment: Callable[..., Experiment], changed: dict[str, Any]
) -> None:
    (field,) = changed
    experiment = make_experiment()
    among = Workbench(experiment)
    held = Workbench(make_experiment(inputs=replace(experiment.inputs, **changed)))
    chosen, only = trained(among, PARAMS | changed), trained(held, PARAMS)
    assert torch.equal(chosen.predict(ROWS), only.predict(ROWS))
    as_asked = trained(among, PARAMS)
    readings = [
        among.variant.readings(among.config(p), "both")[field.split("_")[0]]
        for p in (PARAMS, PARAMS | changed)
    ]
    keys = [among.key(*read).digest for read in readings]
    assert keys[0] != keys[1]
    assert keys[1] == held.key(readings[0].tower, readings[0].cut).digest
    if field == "image_preparation":  # the words of the test corpus are clean either way
        assert not torch.equal(chosen.predict(ROWS), as_asked.predict(ROWS))


def test_all_variants_can_name_their_backbones() -> None:
    for variant in VARIANTS.values():
        for name in variant.backbones:
            assert hasattr(variant.hand_tuned, f"{name}_backbone")
