"""Outputs are tried before any work, and nothing is left of the trial."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
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


def test_commands_that_look_at_the_same_time_leave_each_other_alone(tmp_path: Path) -> None:
    def look(number: int) -> list[str]:
        out = tmp_path / "runs" / "one"
        return [
            *folder_faults("--out", out / str(number % 2)),
            *file_faults("--out", out / "f.csv"),
        ]

    with ThreadPoolExecutor(2) as pool:
        assert not any(pool.map(look, range(400)))
    assert not any(path.is_file() for path in tmp_path.rglob("*"))
