"""Every hostile input is refused in one clear message, before anything is started or written."""

from __future__ import annotations

import importlib
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.hostile import CASES, Case
from tests.hostile.audit import watched

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module", autouse=True)
def frameworks() -> None:
    """Import what commands import late: that takes seconds, and is no case's doing."""
    for name in {
        "search.pipeline.workflow",
        "search.pipeline.dry_run",
        *(case.program for case in CASES),
    }:
        importlib.import_module(name)


@pytest.mark.timeout(120)  # nothing hangs
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_hostile_input_is_refused_in_one_clear_message(
    case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = case.write(tmp_path)
    with watched() as seen:
        code = importlib.import_module(case.program).main(words)
    said = capsys.readouterr().err
    assert code == 2
    assert case.told in said
    assert all(line.startswith("error: ") for line in said.splitlines())
    assert len(said) < 4000
    assert said.replace("\n", "").isprintable()
    assert seen["child"] == []
    assert [path for path in seen["write"] if not case.may_write(tmp_path, path)] == []


def test_names_of_cases_are_their_own() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


def test_what_a_command_starts_and_writes_is_seen(tmp_path: Path) -> None:
    with watched() as seen:
        subprocess.run([sys.executable, "-c", ""], check=True)
        (tmp_path / "new").write_text("words")
        (tmp_path / "new").read_text()
    assert sys.executable in seen["child"][0]
    assert seen["write"] == [str(tmp_path / "new")]
