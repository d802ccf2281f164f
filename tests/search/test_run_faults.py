"""Whole searches on bad days: nothing finished is lost, and what is wrong is said in one line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from analysis.run_folder.folder import RunFolder
from search.pipeline import workflow
from search.run import main
from search.tune import tuner
from tests.records import read_best
from tests.search.command import FROZEN, SMALL, Command

if TYPE_CHECKING:
    from collections.abc import Callable

    from search.config.plan import Plan
    from trainables.experiment import Experiment

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_cluster")]
QUICK = f"{SMALL} {FROZEN} --epochs 1"
# Every process of the search imports this; a model's files cannot be opened while `full` is there.
FULL_DISK = """
import errno, os, pathlib, sys

def refuse(event, arguments):
    if event == "open" and "model.partial" in str(arguments[0]) and "w" in str(arguments[1]):
        if pathlib.Path({flag!r}).exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(arguments[0]))

sys.addaudithook(refuse)
"""


def test_a_disk_that_fills_under_the_final_model_costs_no_trial(
    tmp_path: Path,
    cache: Path,
    run: Callable[[str], tuple[int, str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    full = tmp_path / "full"
    full.touch()
    (tmp_path / "sitecustomize.py").write_text(FULL_DISK.format(flag=str(full)))
    root = str(Path(__file__).parents[2])
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{root}")
    command = Command(tmp_path, cache)

    code, out, errors = command.run(f"{QUICK} --no-rung-zero --trials 1 --out out")
    assert code == 1, out + errors
    (line,) = errors.splitlines()
    assert line.startswith("error: the disk is full, free some space: ")
    assert "model.partial" in line
    assert line.endswith(f"; --resume {tmp_path / 'out'} goes on with it")
    folder = RunFolder(tmp_path / "out")
    told = ["trial", "fate", "objective", "epochs"]
    trials, confirmed = folder.read_trials()[told], read_best(folder)["confirmed"]
    assert trials["fate"].tolist() == ["finished"]
    assert not list(folder.path.glob("model*"))

    full.unlink()
    code, out, errors = run("--resume out")
    assert code == 0, errors
    assert "[" not in out, "no trial is run again"
    assert folder.read_trials()[told].equals(trials)
    assert read_best(folder)["confirmed"] == confirmed
    assert len(folder.read_predictions()) == 40


def test_an_image_that_is_damaged_during_an_uncached_search_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    prepare = workflow.prepare

    def damage(plan: Plan) -> Experiment:
        experiment = prepare(plan)
        image = experiment.corpus.samples[3].image
        image.write_bytes(image.read_bytes()[:200])  # it was whole when the data were checked
        return experiment

    monkeypatch.setattr(workflow, "prepare", damage)
    monkeypatch.setattr(tuner, "RETRIES", 0)  # each begins a process
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    words = f"{QUICK} --no-cache --trials 1 --out {tmp_path / 'out'}"
    assert main(words.split()) == 1
    trials = RunFolder(tmp_path / "out").read_trials()
    assert trials["fate"].tolist() == ["failed"]
    (reason,) = trials["error"]
    assert "004.jpg" in reason
    err = capfd.readouterr().err
    assert err == f"error: no trial has a score; 1 of 1 failed with: {reason}\n"
