"""The end of `--model all` without Ray: what lies at the top of the folder, what is printed."""

from __future__ import annotations

import io
import json
import math
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from analysis.compare import main as compare
from analysis.report.__main__ import main as report
from analysis.run_folder import digests
from analysis.run_folder.folder import RunFolder
from analysis.run_folder.io import ResultsError
from analysis.run_folder.records import to_json
from analysis.run_folder.run import load
from analysis.run_folder.several_models import run_that_ships
from search.config.settings import parse
from search.ensemble import main as ensemble
from search.pipeline.multi_model import settings_by_model
from search.pipeline.one_answer import give_one_answer
from tests.search.selection.several import write_all
from tests.search.selection.test_model_choice import RIGHTS

if TYPE_CHECKING:
    from pathlib import Path

    from search.config.settings import SearchSettings

MODELS = (*RIGHTS, "late_fusion")


def searches_in(folder: RunFolder, words: str = "") -> dict[str, SearchSettings]:
    asked = (
        f"--model all --data demo --folds 3 --metric val_accuracy --out {folder.path}-new {words}"
    )
    found = settings_by_model(parse(asked.split()))
    return {name: replace(found[name], out=folder.path / name) for name in MODELS}


def answered(folder: RunFolder, words: str = "") -> list[str]:
    printed = io.StringIO()
    console = Console(file=printed, width=300)
    assert give_one_answer(folder, searches_in(folder, words), math.inf, console) is not None
    return printed.getvalue().splitlines()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_all(tmp_path_factory.mktemp("written") / "all", RIGHTS).path


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> RunFolder:
    return RunFolder(shutil.copytree(written, tmp_path / "all"))


def test_the_top_of_the_folder_answers(folder: RunFolder) -> None:
    lines = answered(folder)
    best = folder.read_best_model()
    assert best.model == "early_fusion"
    assert best.left_out == {"late_fusion": "its search has not begun"}
    assert json.loads(folder.best_model.read_text()) == to_json(best)
    there = {path.name for path in folder.path.iterdir() if path.is_file()}
    assert there == {
        *("all_models.json", "best_model.json", "digests.csv", "predictions.csv"),
        *("probabilities.csv", "report.html", "stages.json"),
    }
    assert digests.is_noted(folder.predictions)
    first = next(k for k, line in enumerate(lines) if line.startswith("best "))
    low, high = best.interval
    assert lines[first : first + 6] == [
        "best val_accuracy 0.6111 as confirmed by choosing among 3 models: early_fusion, trial 3",
        f"confirmed 0.6111, 95 % interval {low:.4f} to {high:.4f}, which covers {best.covers}",
        "each fold is scored by the model that the other folds choose: early_fusion in 1 of 3",
        best.verdict,
        "late_fusion is left out: its search has not begun",
        "ships: refit: the model of early_fusion",
    ]
    places = {line.split()[0]: line.split(maxsplit=1)[1] for line in lines[first + 6 :]}
    assert places["model"] == str(folder.model)
    assert places["predict"].startswith(f"python -m search.predict {folder.path} --text")


def test_the_report_at_the_top_begins_with_which_model_ships_and_links_to_the_others(
    folder: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    RunFolder(folder.path / "clip").report.write_text("its own")
    answered(folder)
    page = folder.report.read_text()
    assert "early_fusion ships, the best of 3 models." in page
    assert page.index("early_fusion ships") < page.index('<table class="forest">')
    assert '<a href="clip/report.html">clip</a>' in page
    assert 'href="blip/report.html"' not in page, "there is none"
    assert "late_fusion is left out: its search has not begun." in page
    assert "python -m search.run --model all" in page
    assert "http" not in page.replace("http-equiv", "")
    folder.report.unlink()
    assert report([str(folder.path)]) == 0
    assert capsys.readouterr().out.endswith(f"{folder.report}\n")
    assert folder.report.read_text() == page


def test_before_the_end_the_report_says_that_none_is_chosen(folder: RunFolder) -> None:
    assert report([str(folder.path)]) == 0
    assert "No model is chosen yet" in folder.report.read_text()


@pytest.mark.slow
def test_an_answer_is_given_again_and_follows_the_searches(folder: RunFolder) -> None:
    answered(folder)
    before = {p: p.read_bytes() for p in folder.path.rglob("*") if p.is_file()}
    answered(folder)
    assert {p: p.read_bytes() for p in folder.path.rglob("*") if p.is_file()} == before
    blip = RunFolder(folder.path / "blip")
    blip.write_best(replace(blip.read_best(), confirmed=None, candidates=None))
    answered(folder)
    assert "choosing among 2 models" in (folder.model / "README.md").read_text()
    early = RunFolder(folder.path / "early_fusion")
    early.write_best(replace(early.read_best(), confirmed=None, candidates=None))
    answered(folder)
    assert folder.read_best_model().model == "clip"
    assert folder.read_predictions()["tag"].tolist() == ["positive", "clip"]


def test_a_damaged_search_is_left_out_and_said(folder: RunFolder) -> None:
    RunFolder(folder.path / "early_fusion").best.write_text("{")
    lines = answered(folder)
    assert folder.read_best_model().model == "clip"
    assert any(line.startswith("early_fusion is left out: ") for line in lines)


def test_nothing_is_written_where_no_search_has_a_result(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    console = Console(file=io.StringIO())
    assert give_one_answer(folder, searches_in(folder), math.inf, console) is None
    assert list(tmp_path.iterdir()) == []


def test_commands_take_the_folder_for_the_searches_in_it(
    folder: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    answered(folder)
    assert compare([str(folder.path), "--no-published", "--metric", "accuracy"]) == 0
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines()[1:4]] == ["early_fusion", "clip", "blip"]
    assert ensemble([str(folder.path)]) == 0
    assert "trial 3 of early_fusion" in capsys.readouterr().out
    assert run_that_ships(folder.path) == folder.path / "early_fusion"
    with pytest.raises(ResultsError, match="several models: early_fusion, clip, blip"):
        load(folder.path)


def test_nothing_ships_where_nothing_was_trained_again(folder: RunFolder) -> None:
    for model in RIGHTS:
        own = RunFolder(folder.path / model)
        own.write_best(replace(own.read_best(), final=None))
    answered(folder)
    assert folder.read_best_model().shipped is None
    assert not folder.model.exists()
    assert "nothing ships" in folder.report.read_text()
