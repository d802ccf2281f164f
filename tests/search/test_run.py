"""The command line as a user meets it: exit codes, messages, files."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

import search
from analysis.run_folder.folder import RunFolder
from analysis.run_folder.records import to_json
from tests.records import read_best, read_search, write_search
from tests.search.command import QUICK, SMALL, Command
from tests.search.test_run_resume import assert_whole
from trainables.modules.backbones.families import FAMILIES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.slow
def test_every_fault_is_told_at_once_without_a_traceback(tmp_path: Path, cache: Path) -> None:
    command = Command(tmp_path, cache)
    code, out, errors = command.run(
        "--model early_fusio --trials 0 --metric val_f1 --time-budget soon"
    )
    assert code == 2
    assert out == ""
    assert errors.splitlines() == [
        "error: --model must be a model, got 'early_fusio'; did you mean 'early_fusion'?",
        "error: --trials must be >= 1, got 0",
        "error: --metric must be a metric of a trial, got 'val_f1'; did you mean 'val_macro_f1'?",
        "error: --time-budget must be a time such as 90s, 20m or 1h30m, got 'soon'",
    ]


def test_missing_data_are_bad_input_and_leave_no_folder(
    run: Callable[[str], tuple[int, str, str]], tmp_path: Path
) -> None:
    weights = "--backbone text=tiny --backbone image=tiny"
    code, _, errors = run(f"--model early_fusion --data nowhere --out out {weights}")
    assert code == 2
    assert errors.startswith("error: ")
    assert "nowhere" in errors
    assert not (tmp_path / "out").exists()


def test_more_folds_than_samples_of_a_class_are_bad_input(
    run: Callable[[str], tuple[int, str, str]],
) -> None:
    code, _, errors = run(f"{QUICK} --folds 200")
    assert code == 2
    assert errors.startswith("error: ")


def test_the_space_is_shown(run: Callable[[str], tuple[int, str, str]], tmp_path: Path) -> None:
    code, out, _ = run("--model early_fusion --show-space --fix batch_size=32")
    assert code == 0
    assert "head_learning_rate" in out
    assert [line.split() for line in out.splitlines() if "batch_size" in line] == [
        ["batch_size", "32", "32"]
    ]
    assert not (tmp_path / "runs").exists()


def test_the_families_of_backbones_are_listed_without_a_model(
    run: Callable[[str], tuple[int, str, str]],
) -> None:
    code, out, _ = run("--list-backbones")
    assert code == 0
    lines = out.splitlines()
    assert len(lines) == 1 + len(FAMILIES)
    (modern,) = (line.split() for line in lines if "ModernBERT" in line)
    assert modern == ["ModernBERT", "answerdotai/ModernBERT-base", "149.0", "22"]
    assert [line.split()[0] for line in lines if "=SOURCE" in line] == [
        f"{role}=SOURCE" for role in ("text", "image", "clip", "blip")
    ]


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_gpus_that_are_not_there_are_bad_input(
    run: Callable[[str], tuple[int, str, str]], tmp_path: Path
) -> None:
    code, _, errors = run(f"{QUICK} --gpus-per-trial 64 --out out")
    assert code == 2
    assert errors.startswith("error: one trial must fit one machine, got")
    assert "--gpus-per-trial 64 where there are" in errors
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_search_on_the_demo_data_writes_its_folder(searched: Command) -> None:
    lines = (searched.folder / "stdout").read_text().splitlines()
    assert lines[0] == (
        "early_fusion on the embedded demo data (300 labelled, 40 to predict)"
        " with text tiny, image tiny"
    )
    warning = (
        "demo data, random tiny weights (text, image) and a search space for them:"
        " scores say nothing about real tweets"
    )
    assert (lines[1], lines[-1]) == (warning, warning)
    assert (searched.folder / "stderr").read_text() == ""
    folder = RunFolder(searched.folder / "out")
    record = read_search(folder)
    assert record["data"]["classes"] == {"positive": 180, "neutral": 30, "negative": 90}
    assert record["random_backbones"] == ["text", "image"]
    precision = dict.fromkeys(("training", "activations"), "float32")
    precision |= dict.fromkeys(("speedup", "activations_speedup"), None)
    assert record["precision"] == precision, "tiny towers are not even measured"
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


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_a_folder_that_holds_a_search_is_refused_to_another(
    run: Callable[[str], tuple[int, str, str]], searched: Command
) -> None:
    code, _, errors = run(f"{QUICK} --out {searched.folder / 'out'}")
    assert code == 2
    assert "--out must be a folder without a search" in errors


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_a_finished_search_is_extended_and_done_stages_are_not_repeated(
    searched: Command, run: Callable[[str], tuple[int, str, str]], tmp_path: Path
) -> None:
    shutil.copytree(searched.folder, tmp_path, dirs_exist_ok=True)
    folder = RunFolder(tmp_path / "out")
    first = folder.read_trials()
    written = folder.predictions.stat().st_mtime_ns
    code, out, errors = run("--resume out")
    assert code == 0, errors
    assert "4 trials in" in out
    assert folder.predictions.stat().st_mtime_ns == written
    again = search.search(resume="out", trials=6)
    assert again.trials["trial"].tolist() == list(range(6))
    assert_whole(folder, 6)
    kept = folder.read_trials().iloc[:4].drop(columns="seconds")  # rounded at another moment
    assert kept.to_csv() == first.drop(columns="seconds").to_csv()
    record = read_search(folder)
    assert [attempt["trials"] for attempt in record["attempts"]] == [4, 4, 6]
    assert record["settings"]["trials"] == 6
    # In the same folder: other data are refused by what they hold, and no second search begins.
    record["data"]["digest"] = "0" * 32
    write_search(folder, record)
    code, _, errors = run("--resume out --trials 7")
    assert code == 2
    assert errors.startswith("error: --data must be those that the search was begun with, ")


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_a_search_goes_on_in_its_precision_and_ships_a_model_of_it(
    run: Callable[[str], tuple[int, str, str]], tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path / "out")
    words = f"{SMALL} --fix text_unfrozen_layers=1 --fix image_unfrozen_layers=0 --epochs 1"
    words += " --no-rung-zero --confirm 0 --trials 1"
    begun = f"{words} --precision bfloat16 --no-retrain --out out"
    for line in (begun, "--resume out --retrain"):
        code, _, errors = run(line)
        assert code == 0, errors
        assert read_search(folder)["precision"]["training"] == "bfloat16"
    about = json.loads((folder.model / "config.json").read_text())
    assert about["decision"]["precision"] == "bfloat16"
    code, _, errors = run(f"{SMALL} --precision float16 --out other")
    assert code == 2
    assert "--precision must be auto, float32 or bfloat16 where trials have no GPU" in errors
    assert not (tmp_path / "other").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_a_dry_run_says_what_a_search_takes_and_searches_nothing(
    run: Callable[[str], tuple[int, str, str]], tmp_path: Path
) -> None:
    code, out, errors = run(f"{SMALL} --epochs 2 --dry-run --trials 7 --out out")
    assert code == 0, errors
    first = [line.split()[0] for line in out.splitlines() if line.strip()]
    assert {"heaviest", "lightest"} <= set(first)
    assert "7 trials, 1 at a time: " in out
    assert out.splitlines()[-1] == "dry run: nothing was searched"
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_a_search_of_which_nothing_comes_says_why(
    run: Callable[[str], tuple[int, str, str]], tmp_path: Path
) -> None:
    code, out, errors = run(
        f"{QUICK} --no-rung-zero --trials 2 --out out --fix head_learning_rate=1e30"
    )
    assert code == 1, out
    assert "error: no trial has a score; " in errors
    assert "Traceback" not in errors
    folder = RunFolder(tmp_path / "out")
    assert set(folder.read_trials()["fate"]) == {"diverged"}
    assert not folder.best.exists()
