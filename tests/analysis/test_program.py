"""How commands end: what they say, and to whom no longer."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from analysis.program import fail
from tests.analysis.synthetic import write_run

if TYPE_CHECKING:
    from pathlib import Path


def test_every_fault_has_a_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert fail(["a is wrong", "b is wrong\nand c"]) == 2
    assert fail(["nothing came of it"], 1) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "error: a is wrong",
        "error: b is wrong",
        "error: and c",
        "error: nothing came of it",
    ]


@pytest.mark.parametrize("command", ["analysis.compare", "search.cache"])
def test_a_command_whose_reader_has_left_ends_without_a_word(command: str, tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    words = (
        [str(tmp_path / "run")] if command == "analysis.compare" else ["--cache", str(tmp_path)]
    )
    with subprocess.Popen(
        [sys.executable, "-m", command, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.close()  # before anything was written
        _, errors = process.communicate(timeout=60)
    assert errors == ""
    assert process.returncode == -signal.SIGPIPE


def test_the_package_says_what_it_does_not_have() -> None:
    import analysis

    with pytest.raises(AttributeError, match="module 'analysis' has no attribute 'nothing'"):
        _ = analysis.nothing
