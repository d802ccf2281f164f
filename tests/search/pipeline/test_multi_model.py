"""`--model all`: what each variant is asked, and what is wrong with any, before any search."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from analysis.run_folder.folder import RunFolder
from search.config.plan import make_plan
from search.config.serialization import plain
from search.config.settings import parse
from search.errors import SettingsError
from search.pipeline.multi_model import (
    forget_record,
    left_over,
    search_all,
    settings_by_model,
    write_record,
)
from spaces import SPACES
from tests.analysis.synthetic import SEARCHED
from tests.records import write_search

if TYPE_CHECKING:
    from pathlib import Path

    from search.config.settings import SearchSettings


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def searches(words: str) -> dict[str, SearchSettings]:
    return settings_by_model(parse(f"--model all --data demo {words}".split()))


def test_each_variant_is_searched_in_a_folder_of_its_own(tmp_path: Path) -> None:
    found = searches(f"--trials 3 --out {tmp_path / 'out'}")
    assert list(found) == list(SPACES)
    for name, settings in found.items():
        assert (settings.model, settings.trials) == (name, 3)
        assert settings.out == tmp_path / "out" / name


def test_all_models_are_searched_on_the_folds_that_one_of_them_needs() -> None:
    assert {each.data.folds for each in searches("").values()} == {5}
    assert {each.data.folds for each in searches("--folds 3").values()} == {3}
    assert {each.data.folds for each in searches("--split lab").values()} == {1}
    folds = {make_plan(each).folds for each in searches("").values()}
    assert folds == {5}


def test_flags_go_to_the_variants_that_know_the_name() -> None:
    found = searches(
        "--backbone text=tiny --backbone clip=tiny --fix fusion_weight=0.4"
        " --range head_dropout=0.2:0.3 --fix block_dropout=0.1"
    )
    assert found["early_fusion"].data.backbone == ("text=tiny",)
    assert found["clip"].data.backbone == ("clip=tiny",)
    assert found["blip"].data.backbone == ()
    assert found["late_fusion"].tuning.fix == ("fusion_weight=0.4", "block_dropout=0.1")
    assert found["clip"].tuning.fix == ("block_dropout=0.1",)
    assert all(each.tuning.range == ("head_dropout=0.2:0.3",) for each in found.values())


def test_all_faults_of_all_variants_come_at_once_and_each_but_once() -> None:
    with pytest.raises(SettingsError) as error:
        searches("--trials 0 --fix fusion=add --backbone imge=x --range head_drop=0:1")
    assert str(error.value).splitlines() == [
        "--backbone: no model has 'imge'; did you mean 'image'?",
        "--range: no model has 'head_drop'; did you mean 'head_dropout'?",
        "--trials must be >= 1, got 0",
        "late_fusion: --fix: fusion must be weighted or vote, got 'add'",
    ]


def test_a_variant_of_which_nothing_comes_does_not_keep_the_others() -> None:
    found = searches("")
    codes = search_all(found, lambda each: 1 if each.model == "clip" else 0)
    assert codes == {name: int(name == "clip") for name in SPACES}


def test_all_share_one_time_budget() -> None:
    now, given = [0.0], []

    def search(each: SearchSettings) -> int:
        given.append(each.time_budget)
        now[0] += 100.0 if each.model == "early_fusion" else 350.0
        return 0

    # 1,000 seconds for five: 200; 900 for four; 550 for three; 200 for two; none is left.
    codes = search_all(searches("--out out --final refit"), search, 1000.0, lambda: now[0])
    assert given == ["200s", "225s", "183s", "100s"]
    assert list(codes) == list(SPACES)[:4]
    (left,) = left_over(searches("--out out"), codes)
    assert left.startswith(f"no time is left for {list(SPACES)[4]}; --resume ")


@pytest.mark.parametrize(
    ("words", "share"),
    [("", "182s"), ("--ensemble-size 0", "200s"), ("--no-retrain", "200s")],  # of 1,000 for five
)
def test_half_a_share_is_kept_where_an_ensemble_of_several_may_ship(
    words: str, share: str
) -> None:
    given: list[str | None] = []

    def search(each: SearchSettings) -> int:
        given.append(each.time_budget)
        return 0

    search_all(searches(words), search, 1000.0, lambda: 0.0)
    assert given[0] == share


def test_without_a_time_budget_no_search_has_one() -> None:
    given: list[str | None] = []

    def search(each: SearchSettings) -> int:
        given.append(each.time_budget)
        return 0

    search_all(searches(""), search)
    assert given == [None] * len(SPACES)


def test_all_goes_on_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = "--model all --data demo --trials 3 --seed 4 --fix head_dropout=0.4 --out out"
    settings = parse(words.split())
    first = settings_by_model(settings)
    write_record(settings, first)
    begun = make_plan(first["early_fusion"])
    begun.folder.path.mkdir()
    write_search(begun.folder, SEARCHED | {"settings": plain(begun.settings)})
    with pytest.raises(SettingsError, match="holds some; --resume out goes on with them"):
        settings_by_model(settings)

    monkeypatch.chdir("/")
    again = parse(["--resume", str(tmp_path / "out"), "--trials", "9"])
    assert again.model == "all"
    found = settings_by_model(again)
    assert list(found) == list(SPACES)
    for name, own in found.items():
        plan = make_plan(own)
        assert plan.resumed == (name == "early_fusion")
        assert plan.folder.path == tmp_path / "out" / name
        assert (own.trials, own.seed, own.tuning.fix) == (9, 4, ("head_dropout=0.4",))
    with pytest.raises(SettingsError, match="--seed must stay as the search was begun with, 4"):
        parse(["--resume", str(tmp_path / "out"), "--seed", "5"])
    forget_record(found)
    assert RunFolder(tmp_path / "out").all_models.exists(), "a search has begun"


def test_nothing_is_left_to_go_on_with_where_none_has_begun(tmp_path: Path) -> None:
    settings = parse(["--model", "all", "--data", "demo", "--out", "out"])
    found = settings_by_model(settings)
    write_record(settings, found)
    forget_record(found)
    assert list((tmp_path / "out").iterdir()) == []


def test_an_interruption_ends_all() -> None:
    codes = search_all(searches(""), lambda each: 130 if each.model == "late_fusion" else 0)
    assert codes == {"early_fusion": 0, "late_fusion": 130}
