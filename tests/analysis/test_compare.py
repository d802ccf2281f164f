"""The command line of the comparison, as a user meets it."""

from __future__ import annotations

import io
import runpy
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

import analysis
from analysis import compare_runs, load
from analysis.render.table import to_terminal
from tests.analysis.synthetic import write_run
from trainables.evaluation.classes import classes_named

if TYPE_CHECKING:
    from analysis import Comparison


@pytest.fixture
def compare(monkeypatch: pytest.MonkeyPatch) -> _Command:
    return _Command(monkeypatch)


class _Command:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch

    def __call__(self, *words: str | Path) -> int:
        self.monkeypatch.setattr(sys, "argv", ["compare", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            runpy.run_module("analysis.compare", run_name="__main__", alter_sys=True)
        return int(ended.value.code or 0)


def printed(comparison: Comparison, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    to_terminal(comparison, console)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined, no-any-return]


def test_a_table_is_printed(
    compare: _Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare(write_run(tmp_path / "mine").path) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[1].startswith("mine ")
    assert "CLIP †" in out
    assert compare(tmp_path / "mine", "--no-published") == 0
    assert "CLIP" not in capsys.readouterr().out


def test_the_scores_of_three_classes_fit_beside_what_was_published(tmp_path: Path) -> None:
    lines = printed(compare_runs([load(write_run(tmp_path / "mine").path)]), 100)
    whole = [line for line in lines if line.startswith("BLIP enhanced, fold 1 of 5 † ")]
    assert len(whole) == 1
    assert whole[0].split()[-6:] == ["0.8069", "0.4138", "0.6539", "0.7262", "0.6249", "0.7204"]
    words = " ".join(lines[:2]).split()
    assert {"positive", "neutral", "negative", "accuracy", "macro", "weighted"} <= {*words}
    assert "interval" not in " ".join(lines), "which there is no room for"


def test_the_scores_of_seven_classes_are_shown_together_or_named(tmp_path: Path) -> None:
    names = ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise")
    folder = write_run(tmp_path / "mine", classes=classes_named(names), samples=70)
    found = compare_runs([load(folder.path)])
    wide = printed(found, 200)
    assert all(f"F1 {name}" in wide[0] for name in names)
    narrow = printed(found, 100)
    assert "F1 joy" not in narrow[0]
    assert "interval" in narrow[0]
    assert narrow[2].startswith("No room for F1 anger, F1 disgust, F1 fear, F1 joy, F1 neutral,")
    ordered = compare_runs([load(folder.path)], metric="f1_joy")
    assert "F1 joy" in printed(ordered, 100)[0], "what the runs are ordered by stays"


@pytest.mark.parametrize("ending", ["html", "md", "csv", "tex", "latex"])
def test_a_table_is_written_by_its_files_ending(
    compare: _Command, tmp_path: Path, ending: str
) -> None:
    out = tmp_path / f"table.{ending}"
    assert compare(write_run(tmp_path / "mine").path, "--out", out) == 0
    assert "mine" in out.read_text()


def test_every_fault_is_told_at_once(
    compare: _Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare(tmp_path / "none", tmp_path, "--out", "table.pdf") == 2
    errors = capsys.readouterr().err.splitlines()
    assert (
        errors[0]
        == "error: --out must end in one of .html, .md, .csv, .tex, .latex, got table.pdf"
    )
    assert "none must be the folder of a search: there is no such folder" in errors[1]
    assert "search.json does not exist: is this the folder of a search?" in errors[2]


def test_an_unknown_metric_is_bad_input(
    compare: _Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare(write_run(tmp_path / "mine").path, "--metric", "val_macro_f1") == 2
    assert "error: metric must be one of macro_f1, " in capsys.readouterr().err


def test_no_function_of_the_package_is_hidden_by_a_module() -> None:
    # Importing a module sets it on its package, over a function of the same name.
    modules = {path.stem for path in Path(analysis.__file__).parent.iterdir()}
    assert not modules & set(analysis.__all__)
