"""Outputs are tried before any work, and nothing is left of the trial."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from analysis.outputs import file_faults, folder_faults


def test_what_can_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "there.csv").write_text("old")
    assert list(file_faults("--out", tmp_path / "new" / "deep" / "p.csv")) == []
    assert list(file_faults("--out", tmp_path / "there.csv")) == []
    assert list(folder_faults("--out", tmp_path / "new")) == []
    assert list(file_faults("--out", Path(os.devnull))) == []
    assert [path.name for path in tmp_path.iterdir()] == ["there.csv"]
    assert (tmp_path / "there.csv").read_text() == "old"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("folder", "it is a folder"),
        ("file/p.csv", "not a directory"),
        ("file/deep/p.csv", "not a directory"),
        ("x" * 300, "file name too long"),
        ("x" * 250, "file name too long"),  # with what is put around it while it is written
    ],
)
def test_a_file_that_cannot_be_written_is_told_with_its_flag(
    name: str, why: str, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    path = tmp_path / name
    (fault,) = file_faults("--out", path)
    assert fault == f"--out must be a file that can be written, got {path}: {why}"


@pytest.mark.parametrize("place", ["/proc/new", "/dev/full", "/dev/null/new"])
def test_a_folder_that_cannot_be_is_told(place: str) -> None:
    (fault,) = folder_faults("--cache", Path(place))
    assert fault.startswith(f"--cache must be a folder that can be written, got {place}: ")
