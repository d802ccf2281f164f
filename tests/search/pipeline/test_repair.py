"""A run folder whose search goes on: damage is told, set aside or refused before any work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import optuna
import pandas as pd
import pytest
from optuna.trial import TrialState, create_trial

from analysis.run_folder import digests
from analysis.run_folder.search_record import Hardware
from search.config.plan import make_plan
from search.config.settings import parse
from search.errors import SettingsError
from search.pipeline.repair import put_right
from search.pipeline.run_record import search_record
from search.pipeline.workflow import prepare

if TYPE_CHECKING:
    from pathlib import Path

    from search.config.plan import Plan

TRIALS = 6


@pytest.fixture
def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A search of six ended trials."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "run"
    words = ["--model", "early_fusion", "--data", "demo", "--out", str(folder)]
    plan = make_plan(parse([*words, "--cache", str(tmp_path / "cache")]))
    experiment = prepare(plan)
    record = search_record(plan, experiment.corpus, experiment.folds, Hardware(), {})
    plan.folder.write_search(record)
    place = plan.open_storage()
    study = optuna.create_study(storage=place.storage, study_name=place.name)
    rows = []
    for number in range(TRIALS):
        study.add_trial(
            create_trial(state=TrialState.COMPLETE, value=0.5, intermediate_values={1: 0.5})
        )
        plan.folder.append_history({"trial": number, "epoch": 1})
        rows.append({"trial": number, "fate": "finished", "objective": 0.5})
    plan.folder.write_trials(pd.DataFrame(rows))
    plan.folder.write_history(plan.folder.read_history())
    plan.folder.note_study()
    digests.settle(folder)
    return folder


def going_on(folder: Path, *words: str) -> Plan:
    return make_plan(parse(["--resume", str(folder), *words]))


def halved(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: content.find(b"\n", len(content) // 2) + 1])


def test_a_healthy_folder_has_nothing_to_tell(begun: Path) -> None:
    assert put_right(going_on(begun)) == []


@pytest.mark.parametrize("noted", [True, False])
def test_trials_that_half_a_study_has_lost_are_told_before_anything_runs(
    begun: Path, noted: bool
) -> None:
    if not noted:
        (begun / "digests.csv").unlink()
    halved(begun / "study.journal")
    told = r"study\.journal must hold the 6 trials .* all but 3 \(3, 4, 5\); .* add --rerun-lost"
    with pytest.raises(SettingsError, match=told):
        put_right(going_on(begun))
    assert put_right(going_on(begun, "--rerun-lost")) == [
        "trials that the study has lost run again: 3, 4, 5"
    ]
    assert put_right(going_on(begun, "--rerun-lost")) != [], "they have not run yet"


def test_a_study_that_is_gone_is_not_begun_anew_without_a_word(begun: Path) -> None:
    (begun / "study.journal").unlink()
    with pytest.raises(SettingsError, match=r"all but 6 \(0, 1, 2, 3, 4, \.\.\.\)"):
        put_right(going_on(begun))


def test_a_flipped_bit_in_the_study_is_refused(begun: Path) -> None:
    path = begun / "study.journal"
    path.write_bytes(path.read_bytes().replace(b'"1": 0.5', b'"1": 0.7').replace(b":0.5", b":0.7"))
    with pytest.raises(SettingsError, match=r"study\.journal must hold what was written"):
        put_right(going_on(begun))


def test_what_follows_from_the_study_is_set_aside_and_made_anew(begun: Path) -> None:
    halved(begun / "trials.csv")
    (note,) = put_right(going_on(begun))
    assert note.endswith("is damaged and was set aside as trials.csv.damaged; it is made anew")
    assert not (begun / "trials.csv").exists()
    assert put_right(going_on(begun)) == []


def test_what_cannot_be_made_anew_is_refused_until_it_is_deleted(begun: Path) -> None:
    halved(begun / "history.csv")
    with pytest.raises(SettingsError, match=r"history\.csv must have .*; delete it, and .* goes"):
        put_right(going_on(begun))
    (begun / "history.csv").unlink()
    assert put_right(going_on(begun)) == [
        f"{begun / 'history.csv'} is gone: the search goes on without it"
    ]
    assert put_right(going_on(begun)) == []


def test_a_folder_in_place_of_a_table_is_set_aside(begun: Path) -> None:
    (begun / "best.json").mkdir()
    (note,) = put_right(going_on(begun))
    assert "set aside as best.json.damaged" in note


def test_to_rerun_what_was_lost_goes_with_a_search_that_goes_on(tmp_path: Path) -> None:
    words = ["--model", "early_fusion", "--data", "demo", "--rerun-lost"]
    with pytest.raises(SettingsError, match="--rerun-lost goes with --resume"):
        make_plan(parse([*words, "--out", str(tmp_path / "new")]))
