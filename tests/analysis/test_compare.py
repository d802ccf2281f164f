"""The command line of the comparison, as a user meets it."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

import analysis
from tests.analysis.synthetic import write_run


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


def test_a_table_is_printed(
    compare: _Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare(write_run(tmp_path / "mine").path) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[1].startswith("mine ")
    assert "CLIP †" in out
    assert compare(tmp_path / "mine", "--no-published") == 0
    assert "CLIP" not in capsys.readouterr().out


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
