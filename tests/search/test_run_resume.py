"""Searches that are killed in every way and go on: the command line, its files and its counts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import optuna
import psutil
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from analysis.run_folder.folder import RunFolder
from tests.records import read_best, read_search, write_search

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.timeout(900)  # several searches in one test

QUICK = (
    "--model early_fusion --data demo --epochs 2 --image-size 32 --max-concurrent 1"
    " --fix text_unfrozen_layers=0 --fix image_unfrozen_layers=0 --confirm 0"
)


class Command:
    """Runs the command line in a folder of its own, with a shared cache."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "XDG_CACHE_HOME": str(cache),
            "PYTHONUNBUFFERED": "1",
        }

    def start(self, words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "search.run", *words.split()],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, words: str) -> tuple[int, str, str]:
        with self.start(words) as process:
            out, errors = process.communicate(timeout=580)
        return process.returncode, out, errors

    def run_until(
        self, words: str, line: str, act: Callable[[subprocess.Popen[str]], None]
    ) -> tuple[int, str]:
        """Act on the process once a line of its output begins so; give its end."""
        with self.start(words) as process:
            assert process.stdout is not None
            for said in process.stdout:
                if said.startswith(line):
                    act(process)
                    break
            _, errors = process.communicate(timeout=300)
        return process.returncode, errors


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def command(tmp_path: Path, cache: Path) -> Command:
    return Command(tmp_path, cache)


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()


def interrupt(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGINT)


def terminate(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)


def interrupt_twice(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)


def kill_raylet(process: subprocess.Popen[str]) -> None:
    below = psutil.Process(process.pid).children(recursive=True)
    (raylet,) = (child for child in below if child.name() == "raylet")
    raylet.kill()


def assert_whole(folder: RunFolder, count: int) -> None:
    """Every trial once, in the study as in the tables, and the report of the best."""
    trials = folder.read_trials()
    assert trials["trial"].tolist() == list(range(count))
    assert set(trials["fate"]) <= {"finished", "stopped", "diverged", "failed"}
    assert trials["hand_tuned"].tolist() == [True] + [False] * (count - 1)
    storage = JournalStorage(JournalFileBackend(str(folder.study)))
    study = optuna.load_study(study_name=None, storage=storage)
    assert [t.state.is_finished() for t in study.trials] == [True] * count
    history = folder.read_history()
    for row in trials.to_dict("records"):
        epochs = history[history["trial"] == row["trial"]]["epoch"].tolist()
        assert epochs == list(range(1, int(row["epochs"]) + 1))
        if row["fate"] in {"finished", "stopped"}:
            assert len(folder.read_trial_probabilities(row["trial"])) > 0
    best = read_best(folder)
    ran = trials[trials["fate"] == "finished"]
    assert best["score"] == ran["objective"].max()
    assert len(folder.read_predictions()) == 40


@pytest.mark.slow
def test_a_search_ended_in_every_way_goes_on_to_the_wanted_total(command: Command) -> None:
    ways: tuple[tuple[Callable[[subprocess.Popen[str]], None], int], ...] = (
        (kill, -signal.SIGKILL),
        (interrupt, 130),
        (terminate, 143),
        (interrupt_twice, 130),
        (kill_raylet, 1),
    )
    words = f"{QUICK} --trials 25 --out run"
    for count, (act, code) in enumerate(ways, 1):
        returned, errors = command.run_until(words, f"[{count}/25] trial", act)
        assert returned == code or (code is None and returned != 0), errors
        if code in {130, 143}:
            assert "Traceback" not in errors
            assert "--resume" in errors
        words = "--resume run"
    code, out, errors = command.run("--resume run")
    assert code == 0, errors
    # Not that it ran the last trial itself: a slow kill of the one before may come after that.
    assert "25 trials in" in out
    assert "[3/25] trial" not in out, "what was done is not done again"
    assert_whole(RunFolder(command.folder / "run"), 25)
    assert len(read_search(RunFolder(command.folder / "run"))["attempts"]) == 6


@pytest.mark.slow
def test_a_finished_search_is_extended_and_done_stages_are_not_repeated(
    command: Command,
) -> None:
    folder = RunFolder(command.folder / "run")
    code, _, errors = command.run(f"{QUICK} --trials 3 --out run")
    assert code == 0, errors
    first = folder.read_trials()
    written = folder.predictions.stat().st_mtime_ns
    code, out, _ = command.run("--resume run")
    assert code == 0
    assert "3 trials in" in out
    assert folder.predictions.stat().st_mtime_ns == written
    code, out, _ = command.run("--resume run --trials 6 --max-concurrent 2")
    assert code == 0
    assert_whole(folder, 6)
    kept = folder.read_trials().iloc[:3].drop(columns="seconds")  # rounded at another moment
    assert kept.to_csv() == first.drop(columns="seconds").to_csv()
    record = read_search(folder)
    assert [attempt["trials"] for attempt in record["attempts"]] == [3, 3, 6]
    assert record["settings"]["trials"] == 6
    # In the same folder: other data are refused by what they hold, and no second search begins.
    record["data"]["digest"] = "0" * 32
    write_search(folder, record)
    code, _, errors = command.run("--resume run --trials 7")
    assert code == 2
    assert errors.startswith("error: --data must be those that the search was begun with, ")


@pytest.mark.slow
def test_a_second_search_in_one_folder_is_refused(command: Command) -> None:
    second: list[tuple[int, str, str]] = []

    def try_it(process: subprocess.Popen[str]) -> None:
        second.append(command.run("--resume run --trials 9"))
        process.send_signal(signal.SIGINT)

    returned, _ = command.run_until(f"{QUICK} --trials 500 --out run", "[1/500]", try_it)
    assert returned == 130
    ((code, _, errors),) = second
    assert code == 2
    assert "must have one search at a time; process" in errors
    assert "Traceback" not in errors
