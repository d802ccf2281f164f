from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from analysis.run_folder.folder import RunFolder
from search.errors import SettingsError
from search.study.lock import locked

if TYPE_CHECKING:
    from pathlib import Path


def test_a_second_search_in_a_folder_is_refused_with_who_is_there(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with locked(folder, new=True):
        with pytest.raises(SettingsError) as caught, locked(folder, new=False):
            pass
        words = f"{folder.path} must have one search at a time; process {os.getpid()} on "
        assert str(caught.value).startswith(words)
        assert str(caught.value).endswith(" is at work in it")
    with locked(folder, new=False):
        pass


def test_a_killed_process_leaves_no_lock(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path\n"
        "from analysis.run_folder.folder import RunFolder; from search.study.lock import locked\n"
        f"with locked(RunFolder(Path({str(tmp_path)!r})), new=True):\n"
        "    print('held', flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(SettingsError), locked(RunFolder(tmp_path), new=True):
            pass
        process.kill()
    with locked(RunFolder(tmp_path), new=True):
        pass


def test_a_search_that_began_meanwhile_is_not_mixed_with(tmp_path: Path) -> None:
    (tmp_path / "search.json").write_text("{}")
    with (
        pytest.raises(SettingsError, match="another one has just begun"),
        locked(RunFolder(tmp_path), new=True),
    ):
        pass
    with locked(RunFolder(tmp_path), new=False):
        pass
