from __future__ import annotations

from typing import TYPE_CHECKING

import optuna
import pytest
from optuna.trial import TrialState

import analysis
from analysis.report import render
from analysis.run_folder.study import study_trials
from analysis.tables.study import scored_study, searched_parameters, trial_times
from tests.analysis.synthetic import write_run
from tests.records import read_search, write_search

if TYPE_CHECKING:
    from pathlib import Path

    from analysis.run_folder.run import Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return analysis.load(write_run(tmp_path / "run").path)


def test_a_study_gives_times_and_what_was_searched(run: Run) -> None:
    trials = study_trials(run.folder, run.notes)
    assert [trial.number for trial in trials] == list(range(6))
    times = trial_times(trials)
    lengths = (times["end"] - times["start"]).dt.total_seconds()
    assert lengths.tolist() == run.trials["seconds"].tolist()
    # The neutral threshold has one choice only.
    assert searched_parameters(trials) == [
        "head_learning_rate",
        "head_dropout",
        "schedule",
        "text_unfrozen_layers",
    ]


def test_what_asha_stopped_is_drawn_with_its_score(run: Run) -> None:
    verbosity = optuna.logging.get_verbosity()
    study = scored_study(run, study_trials(run.folder, run.notes))
    assert study is not None
    assert {trial.state for trial in study.trials} == {TrialState.COMPLETE}
    assert [trial.value for trial in study.trials] == run.trials["objective"].tolist()
    assert study.best_trial.number == run.trials["objective"].idxmax()
    assert optuna.logging.get_verbosity() == verbosity


def test_a_run_without_a_study_has_no_times(run: Run) -> None:
    run.folder.study.unlink()
    assert study_trials(run.folder, run.notes) == []
    assert trial_times([]).empty
    assert scored_study(run, []) is None


def test_a_database_that_a_folder_names_is_connected_to_only_when_asked(
    run: Run, tmp_path: Path
) -> None:
    theirs = tmp_path / "theirs.db"
    resources = {"study_storage": f"sqlite:///{theirs}"}
    settings = {"settings": {"resources": resources}, "name": "theirs"}
    write_search(run.folder, read_search(run.folder) | settings)
    strange = analysis.load(run.folder.path)
    render(strange)
    assert not theirs.exists()
    assert any("--database connects to it" in note for note in strange.notes)
    render(analysis.load(run.folder.path, database=True))
    assert theirs.exists()
