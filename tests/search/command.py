"""The search command in a process of its own: run to its end, or ended in any way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SMALL = "--model early_fusion --data demo --image-size 32 --max-concurrent 1"
FROZEN = "--fix text_unfrozen_layers=0 --fix image_unfrozen_layers=0"
QUICK = f"{SMALL} {FROZEN} --epochs 2"


class Command:
    """Runs the command line in a folder of its own.

    Args:
        folder: The working folder.
        cache: The user's cache: demo data and frozen activations.
    """

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder = folder
        self.variables = {"XDG_CACHE_HOME": str(cache), "PYTHONUNBUFFERED": "1", "COLUMNS": "100"}
        # Processes import when they have work: of two that begin ahead, one may never have any.
        self.variables["RAY_preload_python_modules"] = ""

    @contextmanager
    def start(self, words: str) -> Iterator[subprocess.Popen[str]]:
        with subprocess.Popen(
            [sys.executable, "-m", "search.run", *words.split()],
            cwd=self.folder,
            env=os.environ | self.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()  # where a test fails; else it has ended

    def run(self, words: str) -> tuple[int, str, str]:
        with self.start(words) as process:
            out, errors = process.communicate()
        return process.returncode, out, errors

    def run_until(
        self, words: str, line: str, act: Callable[[subprocess.Popen[str]], None]
    ) -> tuple[int, str]:
        """Act on the process once a line of its output begins so; give its end."""
        with self.start(words) as process:
            assert process.stdout is not None
            for said in process.stdout:
                if said.startswith(line):
                    act(process)
                    break
            _, errors = process.communicate()
        return process.returncode, errors


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()


def interrupt(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGINT)


def terminate_and_interrupt(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)  # which ends at once


def kill_raylet(process: subprocess.Popen[str]) -> None:
    below = psutil.Process(process.pid).children(recursive=True)
    (raylet,) = (child for child in below if child.name() == "raylet")
    raylet.kill()
