from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from analysis.run_folder.best_record import Best
from analysis.run_folder.folder import ResultsError, RunFolder
from analysis.run_folder.records import from_json
from analysis.run_folder.search_record import Search
from tests.analysis.synthetic import CHOSEN, SEARCHED
from trainables.evaluation.classes import SENTIMENTS

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


def test_records_come_back_as_they_were(folder: RunFolder) -> None:
    search, best = from_json(Search, SEARCHED | {"notes": ["naïve"]}), from_json(Best, CHOSEN)
    folder.write_search(search)
    folder.write_best(best)
    assert folder.read_search() == search
    assert search.notes == ("naïve",)
    assert folder.read_best() == best


def test_a_record_that_is_no_json_number_is_refused(folder: RunFolder) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        folder.write_best(replace(from_json(Best, CHOSEN), score=float("nan")))
    assert not folder.best.exists()


def test_tables_come_back_as_they_were(folder: RunFolder) -> None:
    trials = pd.DataFrame(
        {
            "trial": [0, 1],
            "fate": ["finished", "failed"],
            "objective": [0.1 + 0.2, np.nan],
            "error": ["", 'RuntimeError: a "b", c'],
            "config/normalize": [True, False],
        }
    )
    folder.write_trials(trials)
    pd.testing.assert_frame_equal(folder.read_trials(), trials)
    importances = pd.DataFrame({"parameter": ["a", "b"], "importance": [0.75, 0.25]})
    folder.write_importances(importances)
    pd.testing.assert_frame_equal(folder.read_importances(), importances)


def test_guids_keep_their_spelling(folder: RunFolder) -> None:
    folder.write_predictions(["007", "NA", "1e5"], ["positive", "neutral", "negative"])
    folder.write_probabilities(["007", "NA", "1e5"], np.eye(3, dtype=np.float32), SENTIMENTS)
    assert folder.predictions.read_text() == "guid,tag\n007,positive\nNA,neutral\n1e5,negative\n"
    assert folder.read_predictions()["guid"].tolist() == ["007", "NA", "1e5"]
    probabilities = folder.read_probabilities()
    assert probabilities["guid"].tolist() == ["007", "NA", "1e5"]
    np.testing.assert_array_equal(probabilities[list(SENTIMENTS.names)], np.eye(3))


def test_probabilities_of_a_trial_come_back_to_the_bit(folder: RunFolder) -> None:
    rows = np.array([5, 1, 9], dtype=np.int64)
    probabilities = np.random.default_rng(0).random((3, 3), dtype=np.float32)
    folder.write_trial_probabilities(4, rows, probabilities)
    frame = folder.read_trial_probabilities(4)
    assert frame.columns.tolist() == ["row", "positive", "neutral", "negative"]
    np.testing.assert_array_equal(frame["row"], rows)
    np.testing.assert_array_equal(frame[list(SENTIMENTS.names)].to_numpy(), probabilities)


def test_history_grows_row_by_row(folder: RunFolder) -> None:
    folder.append_history({"trial": 0, "epoch": 1, "val_loss": 0.5})
    folder.append_history({"trial": 1, "epoch": 1, "val_loss": 0.25})
    folder.append_history({"trial": 0, "epoch": 2, "val_loss": 1 / 3})
    history = folder.read_history()
    assert history["trial"].tolist() == [0, 1, 0]
    assert history["val_loss"].tolist() == [0.5, 0.25, 1 / 3]


def test_history_takes_a_new_column_and_an_absent_one(folder: RunFolder) -> None:
    folder.append_history({"trial": 0, "epoch": 1, "val_loss": 0.5})
    folder.append_history({"trial": 0, "epoch": 2, "seconds": 3.0})
    folder.append_history({"trial": 0, "epoch": 3, "seconds": 4.0, "val_loss": 0.25})
    history = folder.read_history()
    np.testing.assert_array_equal(history["val_loss"], [0.5, np.nan, 0.25])
    np.testing.assert_array_equal(history["seconds"], [np.nan, 3.0, 4.0])


def test_a_line_torn_by_a_kill_is_no_row(folder: RunFolder) -> None:
    folder.append_history({"trial": 0, "epoch": 1, "val_loss": 0.5})
    with folder.history.open("a") as file:
        file.write("0,2,0.1")
    assert folder.read_history()["epoch"].tolist() == [1]


def test_a_retry_voids_the_epochs_it_repeats_and_all_after_them(folder: RunFolder) -> None:
    for epoch, loss in [(1, 0.9), (2, 0.8), (3, 0.7), (2, 0.81), (3, 0.71), (1, 0.5), (2, 0.4)]:
        folder.append_history({"trial": 0, "epoch": epoch, "val_loss": loss})
        folder.append_history({"trial": 1, "epoch": len(folder.read_history()), "val_loss": 0.0})
    mine = folder.read_history().query("trial == 0")
    assert mine[["epoch", "val_loss"]].to_numpy().tolist() == [[1, 0.5], [2, 0.4]]


def test_a_failed_write_leaves_the_old_table_and_no_litter(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.write_trials(pd.DataFrame({"trial": [0], "fate": ["finished"], "error": [""]}))

    def half(_: pd.DataFrame, path: Path, **__: object) -> None:
        path.write_text("trial,fa")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", half)
    with pytest.raises(OSError, match="No space left"):
        folder.write_trials(pd.DataFrame({"trial": [0, 1]}))
    assert folder.read_trials()["trial"].tolist() == [0]
    assert [path.name for path in folder.path.iterdir()] == ["trials.csv"]


@pytest.mark.parametrize(
    ("reader", "message"),
    [
        ("read_search", r"search\.json does not exist: is this the folder of a search\?"),
        ("read_best", r"best\.json does not exist: no trial of this search has a score"),
        ("read_trials", r"trials\.csv does not exist: no trial of this search has ended"),
        ("read_history", r"history\.csv does not exist: no trial of this search has reported"),
        ("read_importances", r"importances\.csv does not exist: the search had too few trials"),
        ("read_predictions", r"predictions\.csv does not exist: no model was retrained"),
    ],
)
def test_a_missing_file_is_named_with_what_it_means(
    folder: RunFolder, reader: str, message: str
) -> None:
    with pytest.raises(ResultsError, match=message):
        getattr(folder, reader)()


def test_missing_probabilities_name_their_trial(folder: RunFolder) -> None:
    with pytest.raises(ResultsError, match=r"3\.parquet does not exist: trial 3 has reported no"):
        folder.read_trial_probabilities(3)


@pytest.mark.parametrize("content", ["{", "[1]"])
def test_a_damaged_record_is_named(folder: RunFolder, content: str) -> None:
    folder.path.mkdir()
    folder.search.write_text(content)
    with pytest.raises(ResultsError, match=r"search\.json must "):
        folder.read_search()


def test_an_empty_table_is_named(folder: RunFolder) -> None:
    folder.path.mkdir()
    folder.trials.write_text("")
    with pytest.raises(ResultsError, match=r"trials\.csv must be a CSV table"):
        folder.read_trials()


def test_a_folder_holds_a_search_once_it_has_a_record_or_a_study(folder: RunFolder) -> None:
    assert not folder.holds_search()
    folder.path.mkdir()
    assert not folder.holds_search()
    folder.study.touch()
    assert folder.holds_search()
