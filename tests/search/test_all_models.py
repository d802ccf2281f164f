"""`--model all`: what each variant is asked, and what is wrong with any, before any search."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from search.all_models import search_all, settings_by_model
from search.errors import SettingsError
from search.settings import parse
from spaces import SPACES

if TYPE_CHECKING:
    from pathlib import Path

    from search.settings import SearchSettings


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


def test_an_interruption_ends_all() -> None:
    codes = search_all(searches(""), lambda each: 130 if each.model == "late_fusion" else 0)
    assert codes == {"early_fusion": 0, "late_fusion": 130}
