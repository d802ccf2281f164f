from __future__ import annotations

import math
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from analysis.run_folder.folder import RunFolder
from search.study.trial import TrialRecord
from search.tune.callbacks import Recorder
from search.tune.stopper import SearchStopper

if TYPE_CHECKING:
    from pathlib import Path


def test_an_epoch_in_which_a_trial_diverged_has_no_row_and_no_scores_for_trackers(
    tmp_path: Path,
) -> None:
    folder, trial = RunFolder(tmp_path), SimpleNamespace(trial_id="ray-0")
    recorder = Recorder(folder, {"ray-0": TrialRecord(0, {})}, "max", SearchStopper(math.inf))
    report: dict[str, Any] = {"epoch": 1, "diverged": "", "val_accuracy": 0.5}
    recorder.on_trial_result(trial=trial, result=report)
    lost: dict[str, Any] = {"epoch": 2, "diverged": "loss is nan", "val_accuracy": 0.0}
    recorder.on_trial_result(trial=trial, result=lost)
    assert folder.read_history()[["epoch", "val_accuracy"]].to_numpy().tolist() == [[1, 0.5]]
    assert lost == {"epoch": 2, "diverged": "loss is nan"}
