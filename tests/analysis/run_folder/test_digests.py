"""What was written is noted before it is there, so that damage shows and a kill does not."""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from analysis.run_folder import digests
from analysis.run_folder.best_record import Best
from analysis.run_folder.folder import RunFolder
from analysis.run_folder.io import DamageError, ResultsError
from analysis.run_folder.records import from_json
from tests.analysis.synthetic import CHOSEN, SEARCHED, write_run
from tests.records import write_best, write_search

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    write_search(folder, SEARCHED)
    return folder


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_file_is_noted_by_its_size_and_sha256(folder: RunFolder) -> None:
    digest = hashlib.sha256(folder.search.read_bytes()).hexdigest()
    size = folder.search.stat().st_size
    lines = (folder.path / "digests.csv").read_text().splitlines()
    assert lines == ["file,bytes,sha256", f"search.json,{size},{digest}"]


def test_a_flipped_bit_is_told_with_what_helps(folder: RunFolder) -> None:
    write_best(folder, CHOSEN | {"score": 0.5})
    text = folder.best.read_text()
    folder.best.write_text(text.replace('"score": 0.5', '"score": 0.7'))
    with pytest.raises(DamageError, match=r"best\.json must hold what was .* makes it anew"):
        folder.read_best()


def test_half_a_table_is_told_by_its_size(folder: RunFolder) -> None:
    folder.write_trials(pd.DataFrame({"trial": range(9), "fate": "finished"}))
    lines = folder.trials.read_text().splitlines(keepends=True)
    folder.trials.write_text("".join(lines[:5]))
    with pytest.raises(DamageError, match=r"trials\.csv must have the \d+ bytes .* got 55; "):
        folder.read_trials()


@pytest.mark.parametrize("renamed", [True, False])
def test_a_kill_between_the_note_and_the_file_damages_nothing(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, renamed: bool
) -> None:
    write_best(folder, CHOSEN)
    with monkeypatch.context() as patch:
        if not renamed:
            patch.setattr("pathlib.Path.replace", lambda *_: (_ for _ in ()).throw(SystemExit))
            with pytest.raises(SystemExit):
                write_best(folder, CHOSEN | {"trial": 1})
        else:
            write_best(folder, CHOSEN | {"trial": 1})
    assert folder.read_best().trial == int(renamed)
    write_best(folder, CHOSEN | {"trial": 2})
    assert folder.read_best().trial == 2


def test_a_line_of_digests_that_a_kill_tore_is_no_line(folder: RunFolder) -> None:
    with (folder.path / "digests.csv").open("a") as file:
        file.write("best.json,12,abc")
    write_best(folder, CHOSEN)
    assert folder.read_best() == from_json(Best, CHOSEN)
    flipped(folder.best)
    with pytest.raises(ResultsError):
        folder.read_best()


def test_a_file_that_grows_must_go_on_from_what_was_noted(folder: RunFolder) -> None:
    for epoch in (1, 2):
        folder.append_history({"trial": 0, "epoch": epoch})
    folder.write_history(folder.read_history())
    digests.settle(folder.path)
    folder.append_history({"trial": 0, "epoch": 3})
    assert folder.read_history()["epoch"].tolist() == [1, 2, 3]
    folder.history.write_text(folder.history.read_text()[:-8])
    with pytest.raises(DamageError, match=r"history\.csv must have the \d+ bytes"):
        folder.read_history()


def test_a_folder_that_was_moved_or_copied_is_as_it_was(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    copied = RunFolder(shutil.copytree(folder.path, tmp_path / "elsewhere" / "copied"))
    pd.testing.assert_frame_equal(copied.read_trials(), folder.read_trials())
    flipped(copied.trial_probabilities(0))
    with pytest.raises(DamageError):
        copied.read_trial_probabilities(0)


@pytest.mark.parametrize(
    "spoil", [lambda path: path.unlink(), lambda path: path.write_bytes(b"\xff\x00\n")]
)
def test_without_digests_files_are_taken_as_they_are(
    folder: RunFolder, spoil: Callable[[Path], object]
) -> None:
    write_best(folder, CHOSEN)
    spoil(folder.path / "digests.csv")
    folder.best.write_text(folder.best.read_text().replace("0.5", "0.6"))
    assert folder.read_best().score == 0.6


def test_settled_digests_have_a_line_for_each_file(folder: RunFolder) -> None:
    for trial in (0, 1, 2):
        write_best(folder, CHOSEN | {"trial": trial})
    folder.append_history({"trial": 0, "epoch": 1})
    digests.settle(folder.path)
    lines = (folder.path / "digests.csv").read_text().splitlines()
    assert [line.partition(",")[0] for line in lines] == [
        "file",
        "best.json",
        "history.csv",
        "search.json",
    ]
    assert folder.read_best().trial == 2


def test_what_was_written_and_is_gone_is_lost(folder: RunFolder) -> None:
    write_best(folder, CHOSEN)
    folder.best.unlink()
    assert digests.lost_files(folder.path) == [folder.best]
    with pytest.raises(DamageError, match=r"best\.json must be there, as it was written, and is"):
        folder.read_best()
