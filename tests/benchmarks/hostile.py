"""Every hostile input through the real command line: what is said, started and written.

    python -m tests.benchmarks.hostile
    python -m tests.benchmarks.hostile --only image

Each must end within twenty seconds with exit code 2 and the message that its case asks for, start
no process (Ray's come later than any check of the input) and write nowhere but where it was told
to. Both are read from Python's audit events, in the command and in whatever Python it starts. What
importing torch, torchvision and transformers does without any input is watched first, printed, and
no fault of an input that needs them. Ends with exit code 1 if any case does not end as it must.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.reporting import machine, show
from tests.hostile import CASES, Case
from tests.hostile.audit import LOG

_ROOT = Path(__file__).parents[2]
_LONGEST = 20.0  # seconds
_BAD_INPUT = 2
_IMPORTS = "import torch, torchvision, transformers.models.auto.modeling_auto"


class Ended(NamedTuple):
    """How a command ended.

    Attributes:
        code: Its exit code; None where it had to be killed.
        seconds: How long it took.
        said: Its standard error.
        children: Processes that it started.
        written: What it wrote where it was not told to.
        is_watched: Whether the audit events were told at all.
    """

    code: int | None
    seconds: float
    said: str
    children: tuple[str, ...]
    written: tuple[str, ...]
    is_watched: bool

    def faults(self, case: Case) -> list[str]:
        """Say what is not as it should be.

        Args:
            case: What was tried.

        Returns:
            A few words per fault.
        """
        lines = self.said.splitlines()
        found = {
            "not watched": not self.is_watched,
            "hangs": self.code is None,
            f"exit code {self.code}": self.code not in {None, _BAD_INPUT},
            "another message": case.told not in self.said,
            "no plain lines": not all(line.startswith("error: ") for line in lines),
            f"starts {', '.join(self.children)}": bool(self.children),
            f"writes {', '.join(self.written)}": bool(self.written),
        }
        return [words for words, holds in found.items() if holds]


def run(case: Case, folder: Path) -> Ended:
    """Run one case.

    Args:
        case: What to try.
        folder: For all that it needs; empty.

    Returns:
        How it ended.
    """
    input_folder = folder / "case"
    here = Path.cwd()
    os.chdir(folder)  # an address of a socket is short
    try:
        words = case.write(input_folder)
    finally:
        os.chdir(here)
    ended = watch(["-m", case.program, *words], folder, _LONGEST)
    written = tuple(path for path in ended.written if not case.may_write(input_folder, path))
    return ended._replace(written=written)


def watch(words: list[str], folder: Path, longest: float | None = None) -> Ended:
    """Run Python and note what it does to the system.

    Args:
        words: Python's arguments.
        folder: Where it runs.
        longest: Seconds after which it is killed; None: never.

    Returns:
        How it ended.
    """
    log, hook = folder / "audit", folder / "hook"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(
        "from tests.hostile.audit import install_from_environment\ninstall_from_environment()\n"
    )
    log.touch()
    path = os.pathsep.join([str(hook), str(_ROOT)])
    environment = os.environ | {LOG: str(log), "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *words],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        said = process.communicate(timeout=longest)[1]
        code: int | None = process.returncode
    except subprocess.TimeoutExpired:
        process.kill()
        said, code = process.communicate()[1], None
    events = [json.loads(line) for line in log.read_text().splitlines()]
    return Ended(
        code,
        time.perf_counter() - began,
        said,
        tuple(what for kind, what in events if kind == "child"),
        tuple(dict.fromkeys(what for kind, what in events if kind == "write")),
        any(kind == "watching" for kind, _ in events),
    )


def beyond(ended: Ended, imports: Ended) -> Ended:
    """Leave out what the imports of the libraries do on their own.

    Args:
        ended: How a command ended.
        imports: How the imports alone ended.

    Returns:
        The same without what the imports start, as often as they start it, and write.
    """
    children = Counter(ended.children) - Counter(imports.children)
    written = tuple(path for path in ended.written if path not in imports.written)
    return ended._replace(children=tuple(children.elements()), written=written)


def main() -> int:
    """Run the command line.

    Returns:
        The exit code: 1 where any case did not end as it should.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", metavar="WORDS", help="cases whose name has these")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        imports = watch(["-c", _IMPORTS], Path(name))
    print(
        f"Importing the libraries starts {list(imports.children)}, writes {list(imports.written)}."
    )
    rows, bad = [], {}
    chosen = [case for case in CASES if options.only in case.name]
    for case in chosen:
        with tempfile.TemporaryDirectory() as name:
            ended = beyond(run(case, Path(name)), imports)
        told = [line for line in ended.said.splitlines() if case.told in line]
        line = (told or ended.said.splitlines() or [""])[0].removeprefix("error: ").strip()
        if faults := ended.faults(case):
            bad[case.name] = faults
        verdict = "; ".join(faults) or "refused"
        rows.append([case.name, verdict, f"{ended.seconds:.1f}", line.replace(name, "")[:110]])
    show(
        f"{len(chosen)} hostile inputs, {len(bad)} not refused as they should",
        ("input", "verdict", "seconds", "what is said"),
        rows,
        {"machine": machine(), "cases": len(chosen), "imports": imports[4:6], "bad": bad},
    )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
