"""What watches and records the trials; time and cluster are our own."""

from __future__ import annotations

import math
import pickle
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from ray.tune.logger import TBXLoggerCallback

from analysis.run_folder.folder import RunFolder
from search.config import validation as faults
from search.config.settings import TrackingSettings, parse
from search.study.trial import TrialRecord
from search.tune.callbacks import MOST_ALIKE, Recorder, Watchdog, trackers
from search.tune.stopper import SearchStopper

if TYPE_CHECKING:
    from pathlib import Path


class Cluster:
    """A clock, a list of killed actors, and trials by number."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, timeout: float = math.inf) -> None:
        self.now, self.killed, self.records = 0.0, list[str](), dict[str, TrialRecord]()
        monkeypatch.setattr("search.tune.callbacks.time.monotonic", lambda: self.now)
        monkeypatch.setattr("search.tune.callbacks.ray.kill", self.killed.append)
        self.stopper = SearchStopper(math.inf)
        self.watchdog = Watchdog(self.records, self.stopper, timeout)

    def start(self) -> Any:
        name = f"t{len(self.records)}"
        self.records[name] = TrialRecord(len(self.records), {})
        state = SimpleNamespace(ray_actor=f"actor of {name}")
        trial = SimpleNamespace(trial_id=name, temporary_state=state, max_failures=2)
        self.watchdog.on_trial_start(trial=trial)
        return trial

    def at(self, now: float) -> list[str]:
        self.now = now
        self.watchdog.on_step_end()
        return self.killed

    def fail(self, error: str) -> None:
        trial = self.start()
        self.records[trial.trial_id].error = error
        self.watchdog.on_trial_error(trial=trial)


def test_a_silent_trial_is_killed_for_good_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(monkeypatch, timeout=60)
    silent, lively, ended = cluster.start(), cluster.start(), cluster.start()
    assert cluster.at(50) == []
    cluster.watchdog.on_trial_result(trial=lively)
    cluster.watchdog.on_trial_complete(trial=ended)
    assert cluster.at(61) == ["actor of t0"]
    assert cluster.at(70) == ["actor of t0"], "once"
    assert silent.max_failures == 0
    error = "hung: no epoch ended within 60 s (--trial-timeout)"
    assert [r.error for r in cluster.records.values()] == [error, "", ""]
    assert cluster.at(111) == ["actor of t0", "actor of t1"]


def test_a_trial_that_waits_for_a_new_process_is_not_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = Cluster(monkeypatch, timeout=60)
    trial = cluster.start()
    cluster.watchdog.on_trial_recover(trial=trial)
    assert cluster.at(1000) == []
    cluster.watchdog.on_trial_start(trial=trial)
    assert cluster.at(1059) == []
    assert cluster.at(1061) == ["actor of t0"]


def test_without_a_limit_nothing_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(monkeypatch)
    cluster.start()
    assert cluster.at(1e9) == []


def test_failures_alike_in_a_row_end_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(monkeypatch)
    for number in range(MOST_ALIKE):
        assert not cluster.stopper.stop_all()
        cluster.fail(f"ValueError: row {number} at 0x7f{number} is bad")
    assert cluster.stopper.stop_all()
    error = "ValueError: row 4 at 0x7f4 is bad"
    assert cluster.stopper.reason == f"5 trials in a row failed with: {error}"


def test_failures_of_several_causes_or_with_a_success_between_do_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = Cluster(monkeypatch)
    for number in range(4 * MOST_ALIKE):
        cluster.fail("KeyError: 'a'" if number % 2 else "KeyError: 'b'")
    for number in range(4 * MOST_ALIKE):
        cluster.fail("KeyError: 'a'")
        if number % 3 == 2:
            cluster.watchdog.on_trial_complete(trial=cluster.start())
    assert not cluster.stopper.stop_all()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("OSError: no space", "the disk is full: OSError: no space"),
        ("OutOfReachError: [Errno 2] 'a'", "a file is away: OutOfReachError: [Errno 2] 'a'"),
    ],
)
def test_what_no_trial_can_help_ends_the_search_at_once(
    error: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster(monkeypatch)
    trial = cluster.start()
    cluster.records[trial.trial_id].error = error
    cluster.records[trial.trial_id].retryable = True
    cluster.watchdog.on_trial_error(trial=trial)
    assert cluster.stopper.reason == reason


def test_rays_snapshots_hold_nothing_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(monkeypatch)
    cluster.start()
    assert len(pickle.dumps(cluster.watchdog)) < 100


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


def plan(folder: Path, settings: TrackingSettings) -> Any:
    return SimpleNamespace(settings=SimpleNamespace(tracking=settings), folder=RunFolder(folder))


def test_nothing_is_tracked_unless_it_is_asked_for(tmp_path: Path) -> None:
    asked = parse(["--model", "early_fusion"]).tracking
    assert asked == TrackingSettings()
    assert trackers(plan(tmp_path, asked)) == []


def test_tensorboard_is_written_through_rays_callback(tmp_path: Path) -> None:
    asked = parse(["--model", "early_fusion", "--tensorboard"]).tracking
    (found,) = trackers(plan(tmp_path, asked))
    assert isinstance(found, TBXLoggerCallback)


def test_a_tracker_that_is_not_installed_is_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults.importlib.util, "find_spec", lambda _: None)
    asked = parse(["--model", "early_fusion", "--mlflow", "--wandb"])
    assert list(faults.faults_of(asked)) == [
        "--mlflow needs the package mlflow; pip install mlflow",
        "--wandb needs the package wandb; pip install wandb",
    ]
