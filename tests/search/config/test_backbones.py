"""Several sources of a role: their names, and the search that chooses among them."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from search.config.backbones import names_of
from search.config.command import command_line
from search.config.plan import make_plan
from search.config.serialization import plain, refuse_changes, restored
from search.config.settings import SearchSettings, parse
from search.console.summary import title
from search.errors import SettingsError
from search.pipeline.run_record import refuse_other_backbones
from search.selection.model_card import _backbones
from search.study.cut_coverage import meet_every_cut
from search.study.space import distributions, draws
from trainables.data.sample import Corpus
from trainables.modules.backbones.blip import load_blip_towers
from trainables.variants import VARIANTS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from search.config.plan import Plan


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def words(weights: Mapping[str, str]) -> str:
    texts = " ".join(f"--backbone text={weights[name]}" for name in ("bert", "roberta"))
    return f"--model early_fusion --data demo {texts} --backbone image={weights['mobilenet']}"


def plan_of(words: str, more: str = "") -> Plan:
    return make_plan(parse(f"{words} {more}".split()))


@pytest.mark.parametrize(
    ("sources", "names"),
    [
        (["/w/all-MiniLM-L6-v2/"], ["all-MiniLM-L6-v2"]),
        (["google-bert/bert-base-uncased", "tiny"], ["bert-base-uncased", "tiny"]),
        (["a/bert@v1", "b/bert@v1", "c/mpnet"], ["a-bert", "b-bert", "mpnet"]),
        (["./x/one+two", "./.hidden"], ["one-two", "hidden"]),
        (["a/bert@one", "a/bert@two"], ["bert", "bert-2"]),
    ],
)
def test_a_source_is_named_by_what_tells_it_from_the_others(
    sources: list[str], names: list[str]
) -> None:
    assert names_of(sources) == names


def test_one_source_of_a_role_is_no_choice(words: str, weights: Mapping[str, str]) -> None:
    one = words.replace(f"--backbone text={weights['roberta']}", "")
    plan = plan_of(one)
    assert plan.backbones == {"text": weights["bert"], "image": weights["mobilenet"]}
    assert not [name for name in distributions(plan.space) if name.endswith("_backbone")]
    again = plan_of(one, f"--backbone text={weights['bert']}")
    assert again.backbones == plan.backbones, "the same one twice is one"
    assert draws(plan.space, 9, seed=3) == draws(again.space, 9, seed=3)


def test_several_sources_are_choices_alone_and_two_together(
    words: str, weights: Mapping[str, str]
) -> None:
    plan = plan_of(words)
    assert plan.backbones == {
        "text/bert": weights["bert"],
        "text/roberta": weights["roberta"],
        "image": weights["mobilenet"],
    }
    drawn: Any = distributions(plan.space)
    assert drawn["text_backbone"].choices == ("bert", "roberta", "bert+roberta")
    assert drawn["text_second_unfrozen_layers"] == drawn["text_unfrozen_layers"]
    assert drawn["text_second_learning_rate"] == drawn["backbone_learning_rate"]
    assert plan.hand_tuned["text_backbone"] == "bert", "the first that was given"
    assert not [name for name in plan.hand_tuned if "second" in name]
    for one in draws(plan.space, 40, seed=0):
        both = one["text_backbone"] == "bert+roberta"
        assert ("text_second_unfrozen_layers" in one) == both
        VARIANTS["early_fusion"].config.from_params(one)
    data = plan.settings.data
    asked = shlex.split(command_line(plan.settings))[3:]
    assert make_plan(parse([*asked, "--out", "other"])).backbones == plan.backbones
    assert [word.partition("=")[0] for word in data.backbone] == ["text", "text", "image"]


def test_nothing_is_built_that_no_trial_can_read(words: str) -> None:
    def towers(plan: Plan) -> set[tuple[str, int]]:
        variant = plan.variant
        configs = meet_every_cut(variant, plan.space, "both")
        return {
            (reading.tower, reading.cut.unfrozen_layers)
            for one in configs
            for reading in variant.readings(variant.config.from_params(one)).values()
        }

    names = ("text/bert", "text/roberta", "image")
    assert towers(plan_of(words)) == {(name, depth) for name in names for depth in range(3)}
    held = "--fix text_backbone=roberta --fix text_unfrozen_layers=0 --fix image_unfrozen_layers=1"
    assert towers(plan_of(words, held)) == {("text/roberta", 0), ("image", 1)}
    both = held.replace("=roberta", "=bert+roberta") + " --fix text_second_unfrozen_layers=2"
    assert towers(plan_of(words, both)) == {("text/bert", 0), ("text/roberta", 2), ("image", 1)}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            "--fix text_backbone=robrta",
            "--fix text_backbone must be a source or two of them, got 'robrta'; did you mean"
            " 'roberta'?",
        ),
        (
            "--fix image_backbone=mobilenet",
            "--fix image_backbone chooses among several --backbone image=SOURCE, got one",
        ),
    ],
)
def test_a_held_source_must_be_one_of_them(words: str, more: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        plan_of(words, more)
    assert str(caught.value).splitlines() == [message]


def test_each_source_is_checked_before_any_work(words: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SettingsError, match=r"the folder .*empty lacks config\.json"):
        plan_of(words, "--backbone text=empty")


def test_a_search_goes_on_with_its_own_sources_alone(
    words: str, weights: Mapping[str, str]
) -> None:
    begun = plan_of(words).settings
    old = restored(SearchSettings, plain(begun))
    assert old == begun
    refuse_changes(old, old)
    more = (*old.data.backbone, f"text={weights['distilbert']}")
    with pytest.raises(SettingsError, match="--backbone must stay as the search was begun with"):
        refuse_changes(old, replace(old, data=replace(old.data, backbone=more)))
    fingerprints = {"text/bert": "a", "text/roberta": "b", "image": "c"}
    refuse_other_backbones(fingerprints, fingerprints)
    with pytest.raises(
        SettingsError, match=r"^--backbone text roberta must be what the search was"
    ):
        refuse_other_backbones(fingerprints, fingerprints | {"text/roberta": "z"})


def test_two_checkpoints_of_both_roles_are_choices(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        load_blip_towers("tiny")["text"].save(tmp_path / name)
    words = "--model blip --data demo --backbone blip=./one --backbone blip=./two"
    plan = plan_of(words)
    drawn = distributions(plan.space)
    assert drawn["blip_backbone"].choices == ("one", "two", "one+two")  # type: ignore[attr-defined]
    assert {"text_second_unfrozen_layers", "image_second_learning_rate"} <= drawn.keys()
    text = distributions(plan_of(words, "--modality text").space)
    assert "text_second_unfrozen_layers" in text
    assert "image_second_unfrozen_layers" not in text
    for one in draws(plan.space, 20, seed=0):
        config = plan.variant.config.from_params(one)
        places = {
            reading.tower.partition("/")[2] for reading in plan.variant.readings(config).values()
        }
        assert places == set(one["blip_backbone"].split("+"))


def test_sources_are_told_by_name(words: str, weights: Mapping[str, str]) -> None:
    plan = plan_of(words)
    told = title(plan, Corpus("tweets", (), ()))
    assert told.endswith("with text bert or roberta, image mobilenet")
    card = list(_backbones(plan.backbones, {"text_backbone": "roberta"}))
    assert card == ["text `roberta`", "image `mobilenet`"]
    both = list(_backbones(plan.backbones, {"text_backbone": "bert+roberta"}))
    assert both == ["text `bert`", "text `roberta`", "image `mobilenet`"]
    one = {"text": weights["bert"], "image": "resnet18"}
    assert list(_backbones(one, {})) == ["text `bert`", "image `resnet18`"]
