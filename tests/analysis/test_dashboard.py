from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from analysis.dashboard import main
from tests.analysis.synthetic import write_run

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 60


def test_every_fault_is_told_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), "--port", "0"]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert errors[:2] == [
        f"error: RUN must hold a study, got {tmp_path}: there is no file study.journal",
        "error: --port must be in [1, 65535], got 0",
    ]


def fetch(address: str) -> Any:
    until = time.monotonic() + SECONDS
    while True:
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                return json.load(answer)
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


def test_the_dashboard_shows_the_study_of_the_run(tmp_path: Path) -> None:
    pytest.importorskip("optuna_dashboard", reason="the extra `dashboard` is not installed")
    folder = write_run(tmp_path / "run")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "analysis.dashboard", str(folder.path), "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            studies = fetch(f"http://127.0.0.1:{port}/api/studies")["study_summaries"]
            assert [study["study_name"] for study in studies] == ["made up"]
            trials = fetch(f"http://127.0.0.1:{port}/api/studies/{studies[0]['study_id']}")
            assert len(trials["trials"]) == 6
        finally:
            process.terminate()
