from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

import analysis
from analysis.report import render, write_report
from analysis.report.__main__ import main
from analysis.run_folder import digests
from analysis.run_folder.folder import ResultsError, RunFolder
from analysis.run_folder.io import write_parquet
from tests.analysis.synthetic import SEARCHED, write_run
from tests.records import write_search

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HEADINGS = re.compile(r'<section id="([a-z]+)"')


def test_a_full_run_fills_every_section(full_run: RunFolder) -> None:
    page = write_report(analysis.load(full_run.path)).read_text(encoding="utf-8")
    assert HEADINGS.findall(page) == [
        "answer",
        "before",
        "search",
        "settings",
        "model",
        "contenders",
        "examples",
        "data",
        "trials",
        "repeat",
    ]
    assert page.count('class="plot"') == page.count('<script type="application/json"') == 16
    assert len(page) < 10_000_000


def test_what_came_before_the_first_trial_is_a_table(full_run: RunFolder) -> None:
    page = render(analysis.load(full_run.path))
    section = page[page.index('<section id="before"') : page.index('<section id="search"')]
    heads = re.findall(r'<button type="button">([^<]*)', section)
    assert heads == ["lexicon", "log-loss", "behind the best", "weighted F1", "behind"]
    assert "+0.0000" not in section  # of the best
    assert "-0.0270 (6.8 s.e.)" in section
    assert "-0.0110 (2.2 s.e.)" in section
    assert "rung zero leaves x=&lt;1&gt; out of the space" in section


def test_what_tweets_and_folders_are_called_cannot_write_to_the_page(full_run: RunFolder) -> None:
    page = render(analysis.load(full_run.path))
    assert '<img src="http' not in page
    assert "&lt;img src=" in page
    assert "run <&> one" not in page
    assert "run &lt;&amp;&gt; one" in page


PIECES: dict[str, Callable[[RunFolder], object]] = {
    "samples": lambda folder: folder.samples.unlink(),
    "study": lambda folder: folder.study.unlink(),
    "importances": lambda folder: folder.importances.unlink(),
    "history": lambda folder: folder.history.unlink(),
    "probabilities": lambda folder: [
        path.unlink() for path in folder.path.glob("probabilities/*.parquet")
    ],
    "best": lambda folder: folder.best.unlink(),
    "trials": lambda folder: folder.trials.unlink(),
}


@pytest.mark.slow
@pytest.mark.parametrize("piece", PIECES)
def test_a_run_without_a_piece_has_a_report_without_it(tmp_path: Path, piece: str) -> None:
    folder = write_run(tmp_path / "run")
    (folder.path / digests.NAME).unlink()  # it was never there, rather than lost
    PIECES[piece](folder)
    page = render(analysis.load(folder.path))
    assert "data" in HEADINGS.findall(page)


def test_a_run_of_which_nothing_came_says_so(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    write_search(folder, SEARCHED)
    page = render(analysis.load(tmp_path))
    assert "No trial has a score" in page
    assert HEADINGS.findall(page) == ["answer", "data", "repeat"]


def test_the_command_says_where_the_report_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_run(tmp_path / "run")
    assert main([str(folder.path)]) == 0
    assert capsys.readouterr().out == f"{folder.report}\n"
    assert folder.report.exists()


def test_what_is_no_run_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_probabilities_of_other_samples_are_refused(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    said = folder.read_trial_probabilities(0)
    write_parquet(folder.trial_probabilities(0), said.iloc[:-1])
    with pytest.raises(ResultsError, match=r"0\.parquet must have 60 rows, as validate, got 59"):
        analysis.load(folder.path).validated(0)
