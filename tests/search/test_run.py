"""The command line as a user meets it: exit codes, messages, files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from analysis.run_folder.folder import RunFolder
from analysis.run_folder.records import to_json
from spaces import SPACES
from tests.records import read_best, read_search

if TYPE_CHECKING:
    from pathlib import Path

QUICK = "--model early_fusion --data demo --epochs 2 --image-size 32 --max-concurrent 1"
FROZEN = "--fix text_unfrozen_layers=0 --fix image_unfrozen_layers=0"


def command(words: str) -> list[str]:
    return [sys.executable, "-m", "search.run", *words.split()]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "COLUMNS": "100"}


@pytest.fixture
def run(tmp_path: Path, environment: dict[str, str]) -> _Run:
    return _Run(tmp_path, environment)


class _Run:
    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.environment = folder, environment

    def __call__(self, words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(words),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )


def test_every_fault_is_told_at_once_without_a_traceback(run: _Run) -> None:
    out = run("--model early_fusio --trials 0 --metric val_f1 --time-budget soon")
    assert out.returncode == 2
    assert out.stdout == ""
    assert out.stderr.splitlines() == [
        "error: --model must be a model, got 'early_fusio'; did you mean 'early_fusion'?",
        "error: --trials must be >= 1, got 0",
        "error: --metric must be a metric of a trial, got 'val_f1'; did you mean 'val_macro_f1'?",
        "error: --time-budget must be a time such as 90s, 20m or 1h30m, got 'soon'",
    ]


def test_missing_data_are_bad_input_and_leave_no_folder(run: _Run, tmp_path: Path) -> None:
    weights = "--backbone text=tiny --backbone image=tiny"
    out = run(f"--model early_fusion --data nowhere --out out {weights}")
    assert out.returncode == 2
    assert out.stderr.startswith("error: ")
    assert "nowhere" in out.stderr
    assert "Traceback" not in out.stderr
    assert not (tmp_path / "out").exists()


def test_more_folds_than_samples_of_a_class_are_bad_input(run: _Run) -> None:
    out = run(f"{QUICK} --folds 200")
    assert out.returncode == 2
    assert out.stderr.startswith("error: ")
    assert "Traceback" not in out.stderr


def test_the_space_is_shown(run: _Run, tmp_path: Path) -> None:
    out = run("--model early_fusion --show-space --fix batch_size=32")
    assert out.returncode == 0
    assert "head_learning_rate" in out.stdout
    assert [line.split() for line in out.stdout.splitlines() if "batch_size" in line] == [
        ["batch_size", "32", "32"]
    ]
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_gpus_that_are_not_there_are_bad_input(run: _Run, tmp_path: Path) -> None:
    out = run(f"{QUICK} --gpus-per-trial 64 --out out")
    assert out.returncode == 2
    assert "error: one trial must fit one machine, got" in out.stderr
    assert "--gpus-per-trial 64 where there are" in out.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_search_on_the_demo_data_writes_its_folder(run: _Run, tmp_path: Path) -> None:
    out = run(f"{QUICK} {FROZEN} --trials 4 --out out")
    assert out.returncode == 0, out.stderr
    lines = out.stdout.splitlines()
    assert lines[0] == (
        "early_fusion on the embedded demo data (300 labelled, 40 to predict)"
        " with text tiny, image tiny"
    )
    warning = (
        "demo data, random tiny weights (text, image) and a search space for them:"
        " scores say nothing about real tweets"
    )
    assert (lines[1], lines[-1]) == (warning, warning)
    assert out.stderr == ""
    folder = RunFolder(tmp_path / "out")
    record = read_search(folder)
    assert record["data"]["classes"] == {"positive": 180, "neutral": 30, "negative": 90}
    assert record["random_backbones"] == ["text", "image"]
    assert (record["objective"], record["mode"]) == ("val_weighted_f1", "max")
    trials = folder.read_trials()
    assert len(trials) == 4
    assert trials["hand_tuned"].tolist() == [True, False, False, False]
    best = read_best(folder)
    finished = trials[trials["fate"] == "finished"]
    confirmed = {one["trial"] for one in best["candidates"]}
    assert confirmed == {0, finished["trial"][finished["objective"].idxmax()]}
    assert best["trial"] == best["candidates"][0]["trial"]
    assert best["confirmed"]["interval"][0] < best["confirmed"]["score"]
    assert best["floor"]["majority"]["val_accuracy"] == pytest.approx(0.6, abs=0.02)
    assert best["verdict"].startswith("the confirmed val_weighted_f1 of ")
    assert best["final"]["kind"] == "refit"
    assert to_json(folder.read_search()) == record, "a record holds all that is in the file"
    assert to_json(folder.read_best()) == best
    assert (folder.model / "README.md").read_text().startswith("# early_fusion")
    for trial in confirmed:
        assert len(folder.read_test_probabilities(trial)) == 40
    predictions = folder.read_predictions()
    assert len(predictions) == 40
    assert not predictions["guid"].duplicated().any()
    assert folder.model.is_dir()
    again = run(f"{QUICK} --out out")
    assert again.returncode == 2
    assert "--out must be a folder without a search" in again.stderr


@pytest.mark.slow
def test_all_models_are_searched_and_end_in_one_table(run: _Run, tmp_path: Path) -> None:
    words = "--model all --data demo --trials 1 --epochs 1 --folds 1 --image-size 32"
    out = run(f"{words} --confirm 0 --no-retrain --out out")
    assert out.returncode == 0, out.stderr
    lines = out.stdout.splitlines()
    head = next(i for i, line in enumerate(lines) if line.lstrip().startswith("run "))
    for column in ("epochs", "F1 neu", "accuracy", "macro F1", "weighted F1"):
        assert column in lines[head]
    named = {line.split()[0] for line in lines[head + 1 : head + 1 + len(SPACES)]}
    assert named == set(SPACES)
    for name in SPACES:
        assert read_search(RunFolder(tmp_path / "out" / name))["model"] == name


@pytest.mark.slow
def test_a_dry_run_says_what_a_search_takes_and_searches_nothing(
    run: _Run, tmp_path: Path
) -> None:
    out = run(f"{QUICK} --dry-run --trials 7 --out out")
    assert out.returncode == 0, out.stderr
    first = [line.split()[0] for line in out.stdout.splitlines() if line.strip()]
    assert {"heaviest", "lightest"} <= set(first)
    assert "7 trials, 1 at a time: " in out.stdout
    assert out.stdout.splitlines()[-1] == "dry run: nothing was searched"
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_search_of_which_nothing_comes_says_why(run: _Run, tmp_path: Path) -> None:
    out = run(f"{QUICK} {FROZEN} --trials 2 --out out --fix head_learning_rate=1e30")
    assert out.returncode == 1, out.stdout
    assert "error: no trial has a score; " in out.stderr
    assert "Traceback" not in out.stderr
    folder = RunFolder(tmp_path / "out")
    assert set(folder.read_trials()["fate"]) == {"diverged"}
    assert not folder.best.exists()


@pytest.mark.slow
def test_an_interrupted_search_keeps_what_ended(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    with subprocess.Popen(
        command(f"{QUICK} {FROZEN} --trials 500 --out out"),
        cwd=tmp_path,
        env={**environment, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("[3/500]"):
                process.send_signal(signal.SIGINT)
                break
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "interrupted; what ended is in" in errors
    assert "Traceback" not in errors
    folder = RunFolder(tmp_path / "out")
    trials = folder.read_trials()
    assert 3 <= len(trials) < 500
    assert set(trials["fate"]) <= {"finished", "stopped", "diverged", "interrupted"}
    assert read_best(folder)["trial"] in trials["trial"].tolist()
