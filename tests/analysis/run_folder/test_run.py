from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import pytest

import analysis
from analysis.run_folder.folder import FATES, ResultsError, RunFolder
from analysis.run_folder.schema import (
    IMPORTANCES,
    TRIALS,
    history_columns,
    prediction_columns,
    probability_columns,
    sample_columns,
)
from tests.analysis.synthetic import SEARCHED, write_run
from tests.records import read_best, write_best, write_search
from trainables.evaluation.classes import SENTIMENTS
from trainables.evaluation.scores import confusion, score_confusion

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from analysis.run_folder.run import Run
    from analysis.run_folder.schema import Column

TABLES: Mapping[str, Mapping[str, Column]] = {
    "trials": TRIALS,
    "history": history_columns(SENTIMENTS),
    "probabilities": probability_columns(SENTIMENTS),
    "importances": IMPORTANCES,
    "samples": sample_columns(SENTIMENTS),
    "predictions": prediction_columns(SENTIMENTS),
}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return analysis.load(write_run(tmp_path / "run").path)


@pytest.mark.parametrize("name", TABLES)
def test_every_column_of_a_run_is_documented_and_typed(run: Run, name: str) -> None:
    frame, columns = getattr(run, name), TABLES[name]
    plain = [c for c in frame.columns if not c.startswith("config/") and not c.endswith("_std")]
    assert set(plain) <= set(columns)
    for column in plain:
        assert frame[column].dtype == columns[column].dtype, column


@pytest.mark.parametrize("name", TABLES)
def test_what_a_run_lacks_is_an_empty_table_with_its_columns(tmp_path: Path, name: str) -> None:
    folder = RunFolder(tmp_path)
    write_search(folder, SEARCHED)
    frame = getattr(analysis.load(tmp_path), name)
    assert frame.empty
    assert list(frame.columns) == list(TABLES[name])
    assert [frame[column].dtype for column in frame] == [c.dtype for c in TABLES[name].values()]


def test_probabilities_are_one_tidy_table(run: Run) -> None:
    assert len(run.probabilities) == 6 * 60
    one = run.probabilities.query("trial == 4")[["row", *SENTIMENTS.names]].reset_index(drop=True)
    pd.testing.assert_frame_equal(one, run.folder.read_trial_probabilities(4))


def test_stand_ins_for_the_epoch_in_which_a_trial_diverged_are_no_history(
    run: Run,
) -> None:
    folder = run.folder
    trials, history = folder.read_trials(), folder.read_history()
    trials.loc[1, "fate"], trials.loc[1, "epochs"] = "diverged", 1
    folder.write_trials(trials)
    loaded = analysis.load(folder.path).history
    kept = history[(history["trial"] != 1) | (history["epoch"] == 1)]
    assert len(kept) < len(history)
    assert loaded[["trial", "epoch"]].to_numpy().tolist() == (
        kept[["trial", "epoch"]].to_numpy().tolist()
    )


def test_a_trials_decisions_score_what_its_history_says(run: Run) -> None:
    assert run.best is not None
    found = run.validated(run.best.trial)
    assert found is not None
    scored = score_confusion("weighted_f1", confusion(found.labels, found.decided, 3))
    assert float(scored) == pytest.approx(run.best.score)
    assert found.parts.tolist() == [0] * 20 + [1] * 20 + [2] * 20
    assert found.rows.tolist() == list(range(60))


def test_without_labels_or_probabilities_nothing_is_validated(run: Run) -> None:
    run.folder.trial_probabilities(1).unlink()
    assert run.validated(1) is None
    run.folder.samples.unlink()
    assert analysis.load(run.folder.path).validated(0) is None


@pytest.mark.parametrize(
    ("rule", "decided"),
    [
        ("searched", [1, 2, 0, 2]),  # neutral where both others are under the trial's 0.35
        ("argmax", [0, 2, 0, 2]),
        ("tuned", [1, 1, 1, 2]),  # 0.6 suits the second fold and decides the first; 0.4 the second
    ],
)
def test_a_confirmation_is_decided_by_the_rule_of_the_search(
    run: Run, rule: str, decided: list[int]
) -> None:
    said = [[0.34, 0.33, 0.33], [0.3, 0.3, 0.4], [0.36, 0.34, 0.3], [0.2, 0.2, 0.6]]
    frame = pd.DataFrame(said, columns=list(SENTIMENTS.names))
    frame = frame.assign(repeat=0, fold=[0, 0, 1, 1], epoch=1, row=[6, 9, 16, 19])
    assert run.samples["tag"].iloc[frame["row"]].tolist() == ["neutral", "negative"] * 2
    run.folder.write_confirmation(2, frame)
    assert run.confirmed(2) is None, "nothing says by which rule"
    write_best(run.folder, read_best(run.folder) | {"decision": {"rule": rule}})
    found = analysis.load(run.folder.path).confirmed(2)
    assert found is not None
    assert found.decided.tolist() == decided
    assert found.rows.tolist() == [6, 9, 16, 19]
    assert found.parts.tolist() == [0, 0, 1, 1]
    assert found.labels.tolist() == [1, 2, 1, 2]
    assert analysis.load(run.folder.path).confirmed(0) is None, "it was not confirmed"


def test_a_config_is_what_its_trial_drew(run: Run) -> None:
    assert run.parameters[0] == "head_learning_rate"
    assert run.config(0)["head_dropout"] == 0.5
    assert run.trials["fate"].cat.categories.tolist() == list(FATES)


def test_what_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"nowhere must be the folder of a search"):
        analysis.load(tmp_path / "nowhere")
    with pytest.raises(ResultsError, match=r"search\.json does not exist"):
        analysis.load(tmp_path)
