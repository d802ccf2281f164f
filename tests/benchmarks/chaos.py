"""A search that is killed every few seconds and resumed until it is done: what is lost is counted.

    python -m tests.benchmarks.chaos --trials 60 --kills 20 --seed 0

Kills are drawn from a seed: SIGKILL to the driver, to a worker that trains, to Ray's raylet, and
SIGTERM or SIGINT to the driver. Only processes that this script started are killed. Afterwards the
same search runs without kills; trials, scores and the best config must be the same, for each trial
is drawn from a stream of its own.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from analysis.results import CONFIG, RunFolder
from tests.benchmarks.reporting import machine

if TYPE_CHECKING:
    from collections.abc import Iterator

_WAYS = ("driver", "worker", "worker", "raylet", "SIGTERM", "SIGINT")
_WORDS = (
    "--model early_fusion --data demo --scheduler none --epochs 3 --image-size 32 --folds 2"
    " --sampler random --confirm 0"
)
_WORKER = "ray::ResourceTrainable"  # what Ray calls the process of a trial
_POLL_SECONDS = 0.1


@dataclass
class Chaos:
    """What was done to a search, and what it cost.

    Attributes:
        folder: The run folder.
        draw: The seeded stream of what is killed when.
        between: Shortest and longest time between kills, in seconds.
        kills: How many of each kind.
        attempts: How often the command was started.
        reported: Epochs that were reported, those of attempts that were lost included.
    """

    folder: RunFolder
    draw: random.Random
    between: tuple[float, float]
    kills: Counter[str] = field(default_factory=Counter)
    attempts: int = 0
    reported: int = 0
    _lines: int = 0

    def attempt(self, words: str, most: int) -> int:
        """Run the command, and kill something now and then.

        Args:
            words: The command's.
            most: Kills that are still wanted.

        Returns:
            Its exit code.
        """
        self.attempts += 1
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "search.run", *words.split()], stdout=said, stderr=said
            )
            try:
                self._watch(process, most)
            finally:
                _end_family(process)
            said.seek(0)
            output = said.read().decode(errors="replace")
        if "Traceback" in output:
            sys.stdout.write(output[-3000:])
        return process.returncode

    def _watch(self, process: subprocess.Popen[bytes], most: int) -> None:
        self._lines = self._history_lines()
        begun, due = self._lines, 0.0
        while process.poll() is None:
            time.sleep(_POLL_SECONDS)
            self._count_epochs()
            if not due and self._lines != begun:  # trials are running: from now on
                due = time.monotonic() + self.draw.uniform(*self.between)
            if due and most > 0 and time.monotonic() > due:
                most -= self._kill(process)
                due = time.monotonic() + self.draw.uniform(*self.between)
        self._count_epochs()

    def _kill(self, process: subprocess.Popen[bytes]) -> int:
        way = self.draw.choice(_WAYS)
        if way in {"SIGTERM", "SIGINT", "driver"}:
            victims = [process.pid]
        else:
            word = "raylet/raylet" if way == "raylet" else _WORKER
            victims = list(_family(process.pid, word))
        if not victims or process.poll() is not None:
            return 0
        kind = signal.Signals[way] if way.startswith("SIG") else signal.SIGKILL
        os.kill(self.draw.choice(sorted(victims)), kind)
        self.kills[way] += 1
        sys.stdout.write(f"attempt {self.attempts}: {way}\n")
        sys.stdout.flush()
        return 1

    def _count_epochs(self) -> None:
        lines = self._history_lines()
        if lines > self._lines:
            self.reported += lines - self._lines
        self._lines = lines

    def _history_lines(self) -> int:
        if not self.folder.history.exists():
            return 0
        return max(0, self.folder.history.read_bytes().count(b"\n") - 1)


def _family(pid: int, word: str = "") -> Iterator[int]:
    """Find the living descendants of a process whose command line holds a word."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue
    for candidate in parents:
        ancestor = candidate
        while ancestor in parents and ancestor != pid:
            ancestor = parents[ancestor]
        try:
            words = Path(f"/proc/{candidate}/cmdline").read_text(errors="replace")
        except OSError:
            continue
        if ancestor == pid != candidate and word in words:
            yield candidate


def _end_family(process: subprocess.Popen[bytes]) -> None:
    """As a machine that restarts: nothing of an attempt is left for the next one to lean on."""
    for pid in list(_family(process.pid)):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    if process.poll() is None:
        process.kill()
    process.wait()


def _faults(folder: RunFolder, trials: int) -> list[str]:
    """Say what is missing, double or torn in the folder of a search that is done."""
    table, history = folder.read_trials(), folder.read_history()
    study = optuna.load_study(
        study_name="early_fusion", storage=JournalStorage(JournalFileBackend(str(folder.study)))
    )
    faults = []
    if table["trial"].tolist() != list(range(trials)):
        faults.append(f"trials.csv must have trials 0 to {trials - 1}, got {len(table)} rows")
    if [t.number for t in study.trials if t.state.is_finished()] != list(range(trials)):
        faults.append(f"the study must have {trials} ended trials, got {len(study.trials)}")
    if history.duplicated(["trial", "epoch"]).any():
        faults.append("history.csv has an epoch twice")
    for row in table.to_dict("records"):
        epochs = history[history["trial"] == row["trial"]]["epoch"].tolist()
        if epochs != list(range(1, int(row["epochs"]) + 1)):
            faults.append(f"trial {row['trial']} must have {row['epochs']} epochs, got {epochs}")
    if not folder.predictions.exists() or not folder.model.is_dir():
        faults.append("the model or its predictions are missing")
    return faults


def _differences(one: RunFolder, other: RunFolder) -> list[str]:
    """Compare what two searches found: fates, configs, scores and the choice."""
    tables = [folder.read_trials().set_index("trial") for folder in (one, other)]
    kept = [c for c in tables[0] if c in {"fate", "objective", "epochs"} or c.startswith(CONFIG)]
    differing = [
        f"trial {number}: {column}"
        for number in tables[0].index
        for column in kept
        # As text: a hyperparameter that a trial did not draw is NaN, which equals nothing.
        if str(tables[0].at[number, column]) != str(tables[1].at[number, column])
    ]
    bests = [folder.read_best() for folder in (one, other)]
    return differing + [k for k in ("trial", "params", "score") if bests[0][k] != bests[1][k]]


def main() -> int:
    """Run the chaos.

    Returns:
        The exit code: 0 when nothing was lost.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--between", type=float, nargs=2, default=(1.0, 5.0))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        folder, calm = RunFolder(Path(home, "chaos")), RunFolder(Path(home, "calm"))
        chaos = Chaos(folder, random.Random(asked.seed), tuple(asked.between))
        common = f"--trials {asked.trials} --max-concurrent {asked.slots}"
        words, code = f"{_WORDS} {common} --out {folder.path}", None
        began = time.monotonic()
        while code != 0:
            code = chaos.attempt(words, asked.kills - chaos.kills.total())
            if folder.search.exists():
                words = f"--resume {folder.path}"
        seconds = time.monotonic() - began
        code = Chaos(calm, random.Random(0), (0, 0)).attempt(
            f"{_WORDS} {common} --out {calm.path}", 0
        )
        faults = [*_faults(folder, asked.trials), *_differences(folder, calm)]
        unkilled = sorted(set(_WAYS) - set(chaos.kills))
        faults += [f"some {way} must be killed, got none" for way in unkilled]
        kills = chaos.kills.total()
        extra = chaos.reported - len(folder.read_history())
        told = ", ".join(f"{count} {way}" for way, count in sorted(chaos.kills.items()))
        fates = folder.read_trials()["fate"].value_counts().to_dict()
        sys.stdout.write(
            f"\n{machine()}\n{kills} kills ({told}) in {chaos.attempts} attempts,"
            f" {seconds:.0f} s\n{sum(fates.values())} outcomes of {asked.trials}: {fates}\n"
            f"{extra} epochs done again: {extra / max(kills * asked.slots, 1):.2f} per kill and"
            f" slot\nlost, double or different: {len(faults)} {faults[:9]}\n"
        )
    return int(bool(faults) or kills < asked.kills or extra > 2 * kills * asked.slots)


if __name__ == "__main__":
    sys.exit(main())
