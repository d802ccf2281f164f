"""Where a search begins when it is told of earlier runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import optuna
import pytest
from optuna.storages import JournalStorage

from analysis.run_folder.folder import RunFolder
from search.errors import SettingsError
from search.study.journal import StudyJournal
from search.study.sampler import begin, open_study
from search.study.space import distributions
from tests.analysis.synthetic import CHOSEN, SEARCHED
from tests.records import write_best, write_search
from tests.search.selection.test_candidates import plan_of

if TYPE_CHECKING:
    from pathlib import Path

METRIC = "val_weighted_f1"


def journal(path: Path) -> JournalStorage:
    return JournalStorage(StudyJournal(path))


def run_of(path: Path, rates: dict[float, float], **about: Any) -> RunFolder:
    """A run whose trials differ by the head's learning rate, with the scores given."""
    folder = RunFolder(path)
    write_search(folder, SEARCHED | about)
    study = open_study(journal(folder.study), "early_fusion", METRIC, "random", 0)
    drawn = distributions(plan_of("").space)
    for rate, score in rates.items():
        params = dict(plan_of("").hand_tuned) | {"head_learning_rate": rate}
        used = {name: drawn[name] for name in params}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=used, value=score))
    return folder


def rates_of(plan: Any) -> list[float]:
    return [one.params["head_learning_rate"] for one in plan.warm_start]


def test_the_three_best_of_a_run_come_next_after_the_hand_tuned_config(tmp_path: Path) -> None:
    run_of(tmp_path / "old", {4e-3: 0.5, 8e-3: 0.8, 12e-3: 0.6, 16e-3: 0.7})
    plan = plan_of(f"--warm-start {tmp_path / 'old'}")
    assert rates_of(plan) == pytest.approx([8e-3, 16e-3, 12e-3])
    assert [one.origin for one in plan.warm_start] == [f"trial {n} of old" for n in (1, 3, 2)]
    study = open_study(journal(tmp_path / "new.journal"), "new", METRIC, "tpe", 0)
    begin(study, plan.hand_tuned, plan.warm_start)
    asked = [study.ask() for _ in range(4)]
    for trial in asked:
        plan.space.suggest(trial)
    assert dict(asked[0].params) == dict(plan.hand_tuned)
    assert [t.params["head_learning_rate"] for t in asked[1:]] == pytest.approx(rates_of(plan))
    assert asked[1].user_attrs["warm_start"] == "trial 1 of old"


def test_confirmed_configs_come_first(tmp_path: Path) -> None:
    folder = run_of(tmp_path / "old", {4e-3: 0.5, 8e-3: 0.8, 12e-3: 0.6})
    candidates = [{"trial": trial, "searched": 0.5, "confirmed": 0.5} for trial in (2, 0)]
    write_best(folder, CHOSEN | {"candidates": candidates})
    assert rates_of(plan_of(f"--warm-start {folder.path}")) == pytest.approx([12e-3, 4e-3, 8e-3])


def test_configs_are_moved_into_the_space_and_equal_ones_are_taken_once(tmp_path: Path) -> None:
    run_of(tmp_path / "one", {4e-3: 0.5, 8e-3: 0.8})
    run_of(tmp_path / "two", {8e-3: 0.9, 2e-2: 0.4})
    words = f"--warm-start {tmp_path / 'one'} --warm-start {tmp_path / 'two'}"
    assert rates_of(plan_of(words)) == pytest.approx([8e-3, 4e-3, 2e-2])
    narrowed = plan_of(f"{words} --range head_learning_rate=2e-3:8e-3")
    assert rates_of(narrowed) == pytest.approx([8e-3, 4e-3])


def test_runs_that_do_not_fit_are_told_at_once(tmp_path: Path) -> None:
    run_of(tmp_path / "clip", {4e-3: 0.5}, model="clip")
    run_of(tmp_path / "text", {4e-3: 0.5}, modality="text")
    names = ("clip", "text", "nowhere")
    words = " ".join(f"--warm-start {tmp_path / name}" for name in names)
    with pytest.raises(SettingsError) as error:
        plan_of(words)
    lines = str(error.value).splitlines()
    assert lines[0].endswith(f"runs of model early_fusion, got {tmp_path / 'clip'} of clip")
    assert lines[1].endswith(f"runs of modality both, got {tmp_path / 'text'} of text")
    assert "does not exist: is this the folder of a search?" in lines[2]
