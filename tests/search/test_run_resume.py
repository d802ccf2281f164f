"""Searches that are killed in every way and go on: the command line, its files and its counts."""

from __future__ import annotations

import io
import signal
from contextlib import redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING, Any, NamedTuple

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from analysis.run_folder.folder import RunFolder
from search.run import main
from tests.records import read_best, read_search
from tests.search.command import (
    QUICK,
    Command,
    interrupt,
    kill,
    kill_raylet,
    terminate_and_interrupt,
)

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.slow


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
    scores = trials[trials["fate"] == "finished"].set_index("trial")["objective"]
    assert best["score"] == scores[best["trial"]]
    considered = {best["trial"], *(one["trial"] for one in best.get("candidates") or [])}
    assert scores[list(considered)].max() == scores.max()
    assert len(folder.read_predictions()) == 40


class Broken(NamedTuple):
    """A search that was ended in four ways, each time in a new process, and went on to its end.

    Attributes:
        folder: Its run folder.
        ends: The exit code and the errors of each process, by the way in which it was ended.
        interrupted: After the interrupt, the fates by trial and the content of `best.json`.
        second: The exit code and the errors of another search in the same folder meanwhile.
        last: The exit code, output and errors of the search that was left in peace.
    """

    folder: RunFolder
    ends: dict[str, tuple[int, str]]
    interrupted: tuple[dict[int, str], dict[str, Any]]
    second: tuple[int, str]
    last: tuple[int, str, str]


def here(words: list[str], cache: Path) -> tuple[int, str, str]:
    """Search in this process; gives its exit code, output and errors."""
    out, errors = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        redirect_stdout(out),
        redirect_stderr(errors),
    ):
        for name, value in Command(cache, cache).variables.items():
            patch.setenv(name, value)
        code = main(words)
    return code, out.getvalue(), errors.getvalue()


@pytest.fixture(scope="module")
def broken(
    tmp_path_factory: pytest.TempPathFactory,
    cache: Path,
    own_ray: None,  # noqa: ARG001  # each process starts its own
) -> Broken:
    command = Command(tmp_path_factory.mktemp("broken"), cache)
    folder = RunFolder(command.folder / "run")
    go_on = ["--resume", str(folder.path)]
    second: list[tuple[int, str]] = []

    def try_a_second_and_interrupt(process: subprocess.Popen[str]) -> None:
        process.send_signal(signal.SIGSTOP)  # or it might end meanwhile
        code, _, errors = here([*go_on, "--trials", "15"], cache)
        second.append((code, errors))
        process.send_signal(signal.SIGCONT)
        interrupt(process)

    ways: tuple[Callable[[subprocess.Popen[str]], None], ...]
    ways = kill, try_a_second_and_interrupt, terminate_and_interrupt, kill_raylet
    words, ends, interrupted = (
        f"{QUICK} --no-rung-zero --confirm 0 --trials 14 --out run",
        {},
        None,
    )
    for count, act in enumerate(ways, 1):
        ends[act.__name__] = command.run_until(words, f"[{count}/14] trial", act)
        if act is try_a_second_and_interrupt:
            fates = folder.read_trials().set_index("trial")["fate"].to_dict()
            interrupted = fates, read_best(folder)
        words = "--resume run"
    assert interrupted is not None
    return Broken(folder, ends, interrupted, second[0], here(go_on, cache))


def test_a_search_ended_in_every_way_goes_on_to_the_wanted_total(broken: Broken) -> None:
    expected = {
        "kill": -signal.SIGKILL,
        "try_a_second_and_interrupt": 130,
        "terminate_and_interrupt": 143,
        "kill_raylet": 1,
    }
    assert {way: code for way, (code, _) in broken.ends.items()} == expected, broken.ends
    for code, errors in broken.ends.values():
        if code in {130, 143}:
            assert "Traceback" not in errors
            assert "--resume" in errors
    code, out, errors = broken.last
    assert code == 0, errors
    # Not that it ran the last trial itself: a slow kill of the one before may come after that.
    assert "14 trials in" in out
    assert "[3/14] trial" not in out, "what was done is not done again"
    assert_whole(broken.folder, 14)
    assert len(read_search(broken.folder)["attempts"]) == 5


def test_an_interrupted_search_keeps_what_ended(broken: Broken) -> None:
    _, errors = broken.ends["try_a_second_and_interrupt"]
    assert f"interrupted; what ended is in {broken.folder.path}" in errors
    fates, best = broken.interrupted
    assert 2 <= len(fates) < 14
    assert set(fates.values()) <= {"finished", "stopped", "diverged", "interrupted"}
    assert fates[best["trial"]] == "finished"


def test_a_second_search_in_one_folder_is_refused(broken: Broken) -> None:
    code, errors = broken.second
    assert code == 2
    assert "must have one search at a time; process" in errors
    assert "Traceback" not in errors
