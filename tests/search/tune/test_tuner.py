from __future__ import annotations

import math
import os
import signal
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from optuna.trial import TrialState
from ray import tune

from search import interrupts
from search.cluster.resources import TrialResources
from search.config.plan import make_plan
from search.config.settings import parse
from search.console.live import LiveView, ViewInfo
from search.selection.best_trial import best_trial
from search.tune import callbacks
from search.tune.callbacks import Recorder
from search.tune.tuner import open_search
from spaces.space import Space
from tests.search.toy import EPOCHS, METRIC, make_trainable
from trainables.hyperparameter import Choices, FloatRange, Hyperparameter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pandas as pd

    from search.config.plan import Plan
    from search.tune.tuner import Search


SPACE = Space(
    [
        Hyperparameter("rate", 0.5, FloatRange(0.0, 1.0)),
        Hyperparameter("kind", "well", Choices("well", "weak", "diverges", "crashes", "lost")),
    ]
)

# Each crash takes three processes.
WITHOUT_CRASHES = Space(
    [
        Hyperparameter("rate", 0.5, FloatRange(0.0, 1.0)),
        Hyperparameter("kind", "well", Choices("well", "weak", "diverges", "lost")),
    ]
)


@pytest.fixture
def run(
    ray_cluster: None,  # noqa: ARG001  # Ray must be there
    tmp_path: Path,
) -> Callable[..., tuple[Plan, Search]]:
    def start(
        name: str,
        words: str = "",
        *,
        slots: int = 2,
        seconds: float = 0.0,
        limit: float = math.inf,
        kind: str | None = None,
        space: Space = SPACE,
    ) -> tuple[Plan, Search]:
        flags = f"--model early_fusion --data demo --epochs {EPOCHS} --grace-epochs 1 {words}"
        plan = replace(
            make_plan(parse([*flags.split(), "--out", str(tmp_path / name)])),
            space=space.fix({"kind": kind} if kind else {}),
            hand_tuned={"rate": 0.5, "kind": kind or "well"},
        )
        plan.folder.path.mkdir()
        search = open_search(plan, time.monotonic() + limit, lambda: slots)
        recorder = Recorder(plan.folder, search.records, "max", search.stopper)
        view = LiveView(ViewInfo(METRIC, plan.settings.trials, EPOCHS), search.records)
        try:
            resources = TrialResources(cpus=1, gpus=0, slots=slots)
            search.run(make_trainable(seconds), resources, [recorder, view])
        finally:
            view.close()
            recorder.finish()
        return plan, search

    return start


@pytest.mark.slow
def test_every_trial_has_one_true_end_in_the_study_and_in_the_tables(
    run: Callable[..., tuple[Plan, Search]], capfd: pytest.CaptureFixture[str]
) -> None:
    plan, search = run("a", "--trials 24 --sampler random")
    trials, history = plan.folder.read_trials(), plan.folder.read_history()
    assert trials["trial"].tolist() == list(range(24))

    # ASHA may stop any trial but the first at each rung; nothing else is a matter of chance.
    own_end = {
        "well": "finished",
        "weak": "finished",
        "diverges": "diverged",
        "crashes": "failed",
        "lost": "diverged",
    }
    unstopped = trials[trials["fate"] != "stopped"]
    assert unstopped["fate"].tolist() == [own_end[kind] for kind in unstopped["config/kind"]]
    assert set(trials["fate"]) == {"finished", "stopped", "diverged", "failed"}

    states = {"finished": TrialState.COMPLETE, "stopped": TrialState.PRUNED}
    told = search.study.trials
    for row in trials.to_dict("records"):
        assert told[row["trial"]].state is states.get(row["fate"], TrialState.FAIL)
        assert told[row["trial"]].user_attrs["fate"] == row["fate"]
        assert told[row["trial"]].params["kind"] == row["config/kind"]
        reports = history.query(f"trial == {row['trial']}")
        assert reports["epoch"].tolist() == list(range(1, len(reports) + 1))
        if row["fate"] in states:
            assert row["epochs"] == len(reports) == max(told[row["trial"]].intermediate_values)
            assert row["objective"] == reports[METRIC].max()
            probabilities = plan.folder.read_trial_probabilities(row["trial"])
            assert probabilities["positive"].tolist() == [row["epochs"] / 16] * 5
    assert trials["hand_tuned"].tolist() == [True] + [False] * 23

    errors = dict(zip(trials["fate"], trials["error"], strict=True))
    assert errors["failed"] == "RuntimeError: out of luck"
    assert errors["finished"] == errors["stopped"] == ""
    assert set(trials.query("fate == 'diverged'")["error"]) == {
        "loss is nan",
        f"{METRIC} must be a finite number, got nan at epoch 2",
    }
    best = best_trial(plan.folder, search.records, METRIC)
    assert best.score == unstopped["objective"].max()

    state = "".join(path.read_text() for path in plan.folder.ray.glob("*/experiment_state*"))
    assert METRIC in state
    assert "val_probabilities" not in state, "Ray's snapshots must not hold the arrays"
    shown = capfd.readouterr()
    assert len(shown.out.splitlines()) == 24, "one line per trial and nothing of Ray's"
    assert "Traceback" not in shown.err


@pytest.mark.slow
def test_the_same_seed_runs_the_same_trials_one_at_a_time(
    run: Callable[..., tuple[Plan, Search]],
) -> None:
    def table(name: str, seed: int, count: int) -> pd.DataFrame:
        words = f"--trials {count} --seed {seed}"
        plan, _ = run(name, words, slots=1, space=WITHOUT_CRASHES)
        return plan.folder.read_trials().drop(columns="seconds")

    first = table("a", 1, 13)
    assert table("b", 1, 13).to_csv() == first.to_csv()
    other = table("c", 2, 3)["config/rate"]
    assert other[0] == first["config/rate"][0], "the hand-tuned one"
    assert not set(other[1:]) & set(first["config/rate"])


def stopper(plan: Plan, search: Search) -> int:
    """Count the trials that were cut off: all wait in the study, and none is left running."""
    count = (plan.folder.read_trials()["fate"] == "interrupted").sum()
    states = [trial.state for trial in search.study.trials]
    assert states.count(TrialState.WAITING) == count
    assert TrialState.RUNNING not in states
    return int(count)


@pytest.mark.slow
def test_a_time_budget_cuts_off_what_runs_and_keeps_what_ended(
    run: Callable[..., tuple[Plan, Search]],
) -> None:
    plan, search = run("a", "--trials 500", seconds=0.3, limit=15)
    assert search.stopper.reason == "time budget"
    trials = plan.folder.read_trials()
    assert 2 <= len(trials) < 500
    assert set(trials["fate"]) <= {"finished", "stopped", "interrupted", "diverged", "failed"}
    assert 1 <= stopper(plan, search) <= 2, "as many as there are slots"


@pytest.mark.slow
def test_the_first_interrupt_ends_the_search_well(
    run: Callable[..., tuple[Plan, Search]], tmp_path: Path
) -> None:
    def interrupt() -> None:
        while not (tmp_path / "a" / "history.csv").exists():
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    threading.Thread(target=interrupt, daemon=True).start()
    with interrupts.handled():
        plan, search = run("a", "--trials 500", seconds=0.3)
    assert search.stopper.reason == "interrupted"
    assert stopper(plan, search) >= 1
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.slow
def test_a_trial_that_hangs_is_failed_and_the_search_goes_on(
    run: Callable[..., tuple[Plan, Search]],
) -> None:
    plan, search = run("a", "--trials 2 --trial-timeout 4s --scheduler none", kind="hangs")
    trials = plan.folder.read_trials()
    assert trials["fate"].tolist() == ["failed"] * 2
    assert set(trials["error"]) == {"hung: no epoch ended within 4 s (--trial-timeout)"}
    assert trials["epochs"].tolist() == [1] * 2
    assert trials["retries"].tolist() == [0] * 2
    assert [t.state for t in search.study.trials] == [TrialState.FAIL] * 2


@pytest.mark.slow
def test_a_cause_that_fells_every_trial_ends_the_search(
    run: Callable[..., tuple[Plan, Search]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callbacks, "MOST_ALIKE", 2)  # each takes three processes to fail
    plan, search = run("a", "--trials 50 --scheduler none", kind="crashes", slots=1)
    trials = plan.folder.read_trials()
    assert search.stopper.reason == "2 trials in a row failed with: RuntimeError: out of luck"
    failed = trials[trials["fate"] == "failed"]
    assert failed["retries"].tolist() == [2] * 2
    assert set(trials["fate"]) <= {"failed", "interrupted"}


@pytest.mark.slow
def test_a_full_disk_in_a_worker_ends_the_search_and_costs_no_trial(
    run: Callable[..., tuple[Plan, Search]],
) -> None:
    plan, search = run("a", "--trials 50", kind="disk", slots=1)
    assert search.stopper.reason == (
        "the disk is full: OSError: [Errno 28] No space left on device"
    )
    assert set(plan.folder.read_trials()["fate"]) == {"interrupted"}
    assert {t.state for t in search.study.trials} == {TrialState.WAITING}


def test_ray_is_given_a_reporter_that_is_silent_as_its_own_clears_a_notebooks_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs: list[tune.RunConfig] = []

    class Tuner:
        def __init__(self, *_: object, run_config: tune.RunConfig, **__: object) -> None:
            configs.append(run_config)

        def fit(self) -> None:
            pass

    monkeypatch.setattr(tune, "Tuner", Tuner)
    plan = make_plan(parse(f"--model early_fusion --data demo --out {tmp_path / 'out'}".split()))
    plan.folder.path.mkdir()
    search = open_search(plan, math.inf, lambda: 1)
    search.run(make_trainable(0), TrialResources(cpus=1, gpus=0, slots=1), [])
    reporter = configs[0].progress_reporter
    assert reporter is not None
    assert not reporter.should_report([], done=True)
