"""Runs joined from what they kept."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from analysis.run_folder.folder import RunFolder
from search.ensemble import main
from search.selection.joined_runs import join_runs
from tests.analysis.synthetic import CHOSEN, SEARCHED
from tests.records import write_best, write_search
from trainables.evaluation.classes import SENTIMENTS

if TYPE_CHECKING:
    from pathlib import Path

LABELS = np.arange(300) % 3
GUIDS = ["007", "8"]


def confirmed(seed: int, right: float) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    sure = np.where(random.random(300) < right, LABELS, random.integers(3, size=300))
    said = 0.4 * np.eye(3)[sure] + 0.6 * random.dirichlet([2, 2, 2], size=300)
    frame = pd.DataFrame(said, columns=list(SENTIMENTS.names))
    frame.insert(0, "row", np.arange(300))
    frame.insert(0, "fold", np.arange(300) // 3 % 5)
    return frame


@pytest.fixture
def run(tmp_path: Path) -> Any:
    def make(name: str, rights: dict[int, float], seed: int = 0, **about: Any) -> Path:
        folder = RunFolder(tmp_path / name)
        record = SEARCHED | {"objective": "val_accuracy"}
        write_search(folder, record | {"settings": {"seed": 0}} | about)
        tags = [SENTIMENTS.names[label] for label in LABELS]
        samples = {"guid": "", "tag": tags, "text": "", "image": "", "group": 0}
        folder.write_samples(pd.DataFrame(samples))
        ended = {"fate": "finished", "objective": 0.5, "best_epoch": 1, "epochs": 1}
        trials = {"trial": list(rights), **ended, "seconds": 1.0, "hand_tuned": False}
        folder.write_trials(pd.DataFrame(trials))
        candidates = [{"trial": trial, "searched": 0.5, "confirmed": 0.5} for trial in rights]
        chosen = {"objective": "val_accuracy", "mode": "max", "candidates": candidates}
        write_best(folder, CHOSEN | chosen)
        for trial, right in rights.items():
            folder.write_confirmation(trial, confirmed(seed + trial, right))
            said = np.array([[0.7, 0.2, 0.1], [0.1, 0.2, 0.7]], np.float32)
            folder.write_test_probabilities(trial, GUIDS, said)
        return folder.path

    return make


def test_runs_that_mend_each_other_are_joined_and_predict(
    run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = run("one", {0: 0.4, 3: 0.4}), run("other", {1: 0.4, 2: 0.4}, seed=10)
    assert main([str(one), str(other), "--out", str(tmp_path / "joined")]) == 0
    out = capsys.readouterr().out
    assert "nested validation prefers the ensemble" in out
    joined = RunFolder(tmp_path / "joined")
    assert joined.read_predictions()["guid"].tolist() == GUIDS
    assert joined.read_predictions()["tag"].tolist() == ["positive", "negative"]
    assert joined.read_probabilities()["positive"].tolist() == pytest.approx([0.7, 0.1])
    record = json.loads((tmp_path / "joined" / "ensemble.json").read_text())
    assert sum(one["weight"] for one in record["members"]) == pytest.approx(1)
    assert record["members"][0]["name"] == "trial 0 of one"
    assert record["ensemble"] > record["single"]


def test_the_ensemble_decides_as_its_search_does(run: Any) -> None:
    settings = {"seed": 0, "selection": {"decision": "tuned"}}
    path = run("one", {0: 0.4, 3: 0.4}, settings=settings)
    for trial in (0, 3):
        # Unsure pairs, which a tuned threshold of neutral decides as the likeliest class would
        # not: all that is neutral has its poles under a half.
        frame = RunFolder(path).read_confirmation(trial)
        unsure = np.array([0.45, 0.1, 0.45])
        frame.loc[frame["row"] % 3 == 1, list(SENTIMENTS.names)] = unsure
        frame.loc[frame["row"] % 3 != 1, list(SENTIMENTS.names)] = [0.8, 0.1, 0.1]
        frame.loc[frame["row"] % 3 == 2, list(SENTIMENTS.names)] = [0.1, 0.1, 0.8]
        RunFolder(path).write_confirmation(trial, frame)
        said = np.array([[0.4, 0.3, 0.3], [0.1, 0.1, 0.8]], np.float32)
        RunFolder(path).write_test_probabilities(trial, GUIDS, said)
    joined = join_runs([path])
    assert joined.tags == ["neutral", "negative"]
    assert (joined.record["decision"], joined.record["neutral_threshold"]) == ("tuned", 0.8)
    assert joined.record["ensemble"] == joined.record["single"] == 1


def test_runs_that_decide_otherwise_are_not_joined(
    run: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"seed": 0, "selection": {"decision": "tuned"}}
    one, other = run("one", {0: 0.5}), run("other", {0: 0.5}, settings=settings)
    assert main([str(one), str(other)]) == 2
    assert f"{other} must be of the same decision as {one}" in capsys.readouterr().err


def test_nothing_is_written_where_one_config_is_better_alone(
    run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = run("one", {0: 1.0, 1: 0.0})
    assert main([str(path), "--out", str(tmp_path / "joined")]) == 0
    told = capsys.readouterr()
    assert "nested validation does not prefer the ensemble" in told.out
    assert f"note: {tmp_path / 'joined'} is not written: the best config predicts" in told.err
    assert not (tmp_path / "joined").exists()


def test_runs_of_other_data_or_folds_are_refused_by_name(
    run: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    one = run("one", {0: 0.5})
    other = run("other", {0: 0.5}, data=SEARCHED["data"] | {"digest": "e"}, settings={"seed": 3})
    bare = run("bare", {})
    assert main([str(one), str(other), str(bare)]) == 2
    error = capsys.readouterr().err
    assert f"{other} must be of the same data digest, seed as {one}" in error
    assert f"{bare} must have confirmed configs, got none" in error
    assert main([str(tmp_path / "nowhere")]) == 2
    assert "there is no folder" in capsys.readouterr().err
