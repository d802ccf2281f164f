"""Searches killed at every stage and resumed until they are done: what is lost is counted.

    python -m tests.benchmarks.chaos --kills 100 --seed 0

A round is a search with kills drawn for each of its stages: Ray's start, describing the backbones,
building their activations, rung zero, trials, confirmation, final training, report. Killed is a
worker, Ray's raylet or its GCS, or the driver, by SIGKILL; or the driver is sent SIGTERM, Ctrl-C,
or five of them. Only processes that this script started are killed. Rounds go through several
searches in turn, each of which also runs once without kills: trials, scores, the choice, the
predictions and the bytes of the model must be the same. A command that ends by a kill that it can
tell must say so in one line, with the exit code of its kind.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
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

from analysis.run_folder.folder import CONFIG, RunFolder
from analysis.run_folder.records import to_json
from tests.benchmarks.reporting import machine

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_COMMON = "--data demo --scheduler none --sampler random --image-size 32 --confirm 2"
_SEARCHES = (
    f"--model early_fusion {_COMMON} --epochs 3",
    f"--model early_fusion {_COMMON} --epochs 2 --folds 3 --final folds",
    f"--model blip_enhanced {_COMMON} --epochs 2 --folds 2",
)
_STAGES = ("start", "describe", "build", "rung zero", "trials", "confirmation", "final", "report")
# What Ray calls the processes of the workers that are at work in a stage.
_WORKERS = {
    "describe": ("ray::_describe",),
    "build": ("ray::_build",),
    "rung zero": ("ray::regress_fold",),
    "trials": ("ray::ResourceTrainable",),
    "confirmation": ("ray::train_fold", "ray::regress_fold"),
    "final": ("ray::validate_joining", "ray::train_member", "ray::assemble"),
}
_SERVERS = {"raylet": "raylet/raylet", "gcs": "gcs_server"}
_DRIVER = ("driver", "SIGTERM", "SIGINT", "five SIGINT")
_POLL_SECONDS = 0.05
_LONGEST_DELAY = 0.8
_LONGEST_ATTEMPT = 600.0
_INTERRUPTED, _TERMINATED, _NOTHING = 130, 143, 1
# The exit codes of a kill; 0 where it came when all was done.
_CODES = {
    "driver": {-signal.SIGKILL, 0},
    "SIGTERM": {_TERMINATED, 0},
    "SIGINT": {_INTERRUPTED, 0},
    "five SIGINT": {_INTERRUPTED, 0},
    "raylet": {_NOTHING, 0},
    "gcs": {_NOTHING, 0},
}


@dataclass
class Round:
    """One search, and what is done to it.

    Attributes:
        words: What is searched.
        home: A folder of its own.
        draw: The seeded stream of what is killed how.
        plan: The stages of the kills to come, in their order.
        kills: How many of each kind, by stage and way.
        attempts: How often the command was started.
        faults: What went wrong, in plain sentences.
    """

    words: str
    home: Path
    draw: random.Random
    plan: list[str]
    kills: Counter[tuple[str, str]] = field(default_factory=Counter)
    attempts: int = 0
    faults: list[str] = field(default_factory=list)
    _had_ray: bool = False
    _last: str = ""

    @property
    def folder(self) -> RunFolder:
        """Where the search is."""
        return RunFolder(self.home / "run")

    def search(self) -> None:
        """Start the command, kill what is due, and start it again until it is done."""
        words, code = f"{self.words} --out {self.folder.path}", None
        while code != 0 and self.attempts < 5 * (len(self.plan) + 3) + self.kills.total():
            code = self._attempt(words)
            if self.folder.search.exists():
                words = f"--resume {self.folder.path}"
        if code != 0:
            self.faults.append(f"after {self.attempts} attempts the exit code is {code}")

    def _attempt(self, words: str) -> int:
        self.attempts += 1
        if self.plan and self.plan[0] == "build":  # else there is nothing to build any more
            shutil.rmtree(self.home / "cache", ignore_errors=True)
        said, told = self.home / "stdout", self.home / "stderr"
        line = [sys.executable, "-m", "search.run", *words.split()]
        with said.open("w") as out, told.open("w") as err:
            process = subprocess.Popen(
                [*line, "--cache", str(self.home / "cache")], stdout=out, stderr=err
            )
            try:
                way = self._watch(process)
            finally:
                _end_family(process)
        code = process.returncode
        errors = told.read_text(errors="replace").splitlines()
        expected = _CODES.get(way, {0}) | self._before_it_listens(way)
        if code not in expected or len(errors) > (code != 0) or "Traceback" in said.read_text():
            self.faults.append(f"attempt {self.attempts}, {way or 'no kill'}: {code} {errors[:5]}")
        return code

    def _before_it_listens(self, way: str) -> set[int]:
        """While Python is still importing the command, a signal ends it as any program.

        It does so after our own line, too, where the signal came within an `exec`, as of a
        dataclass that is being made: Python then ends itself by it, whoever caught it since.
        """
        kind = getattr(signal, way.rpartition(" ")[2], None) if self._last == "start" else None
        return set() if kind is None else {-kind}

    def _watch(self, process: subprocess.Popen[bytes]) -> str:
        """Kill what is due while the command runs; gives how its driver or Ray was killed."""
        ended, began, self._had_ray = "", time.monotonic(), False
        while process.poll() is None and time.monotonic() - began < _LONGEST_ATTEMPT:
            time.sleep(_POLL_SECONDS)
            if ended or not self.plan:
                continue
            stage = self._stage(process)
            if _STAGES.index(stage) > _STAGES.index(self.plan[0]):
                self.plan.pop(0)  # too short to be met this time
            elif stage == self.plan[0]:
                time.sleep(self.draw.uniform(0, _LONGEST_DELAY))
                ended = self._kill(process, stage)
        if process.poll() is None:
            self.faults.append(f"attempt {self.attempts}: it hangs")
        return ended

    def _stage(self, process: subprocess.Popen[bytes]) -> str:
        family = " ".join(_family(process.pid).values())
        has_ray = _SERVERS["gcs"] in family
        if self._had_ray and not has_ray:
            return "report"  # which needs none any more
        self._had_ray = has_ray
        begun = self.folder.study.exists()
        for stage, names in _WORKERS.items():
            if any(name in family for name in names) and not (begun and stage == "rung zero"):
                return stage
        return "start"

    def _kill(self, process: subprocess.Popen[bytes], stage: str) -> str:
        ways = [*_DRIVER, *_SERVERS, *["worker"] * 3] if stage in _WORKERS else [*_DRIVER]
        way = self.draw.choice(ways)
        victims = [process.pid]
        if way not in _DRIVER:
            names = (_SERVERS[way],) if way in _SERVERS else _WORKERS[stage]
            family = _family(process.pid).items()
            victims = [pid for pid, words in family if any(name in words for name in names)]
        if not victims or process.poll() is not None:
            return ""
        kind = getattr(signal, way.rpartition(" ")[2], signal.SIGKILL)
        for _ in range(5 if way.startswith("five") else 1):
            try:
                os.kill(self.draw.choice(sorted(victims)), kind)
            except ProcessLookupError:
                return ""
            time.sleep(0.1)
        self.plan.pop(0)
        self._last = stage
        self.kills[stage, way] += 1
        sys.stdout.write(f"  attempt {self.attempts}: {way} at {stage}\n")
        sys.stdout.flush()
        return "" if way == "worker" else way


def _family(pid: int) -> dict[int, str]:
    """Find the living descendants of a process, with their command lines."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue
    family, found = {pid}, dict[int, str]()
    while more := {one for one, parent in parents.items() if parent in family} - family:
        family |= more
    for one in family - {pid}:
        try:
            found[one] = Path(f"/proc/{one}/cmdline").read_text(errors="replace")
        except OSError:
            continue
    return found


def _end_family(process: subprocess.Popen[bytes]) -> None:
    """As a machine that restarts: nothing of an attempt is left for the next one to lean on."""
    for pid in _family(process.pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    if process.poll() is None:
        process.kill()
    process.wait()


def _lost(folder: RunFolder, trials: int) -> Iterator[str]:
    """Say what is missing, double or torn in the folder of a search that is done."""
    table, history = folder.read_trials(), folder.read_history()
    study = optuna.load_study(
        study_name=folder.read_search().model,
        storage=JournalStorage(JournalFileBackend(str(folder.study))),
    )
    if table["trial"].tolist() != list(range(trials)):
        yield f"trials.csv must have trials 0 to {trials - 1}, got {len(table)} rows"
    if [t.number for t in study.trials if t.state.is_finished()] != list(range(trials)):
        yield f"the study must have {trials} ended trials, got {len(study.trials)}"
    if history.duplicated(["trial", "epoch"]).any():
        yield "history.csv has an epoch twice"
    for row in table.to_dict("records"):
        epochs = history[history["trial"] == row["trial"]]["epoch"].tolist()
        if epochs != list(range(1, int(row["epochs"]) + 1)):
            yield f"trial {row['trial']} must have {row['epochs']} epochs, got {epochs}"
    for path in (folder.predictions, folder.model, folder.report):
        if not path.exists():
            yield f"{path.name} is missing"


def _changed(one: RunFolder, other: RunFolder) -> Iterator[str]:
    """Compare what two searches found: fates, configs, scores, the choice and the model."""
    tables = [folder.read_trials().set_index("trial") for folder in (one, other)]
    kept = [c for c in tables[0] if c in {"fate", "objective", "epochs"} or c.startswith(CONFIG)]
    for number in tables[0].index:
        for column in kept:
            # As text: a hyperparameter that a trial did not draw is NaN, which equals nothing.
            if str(tables[0].at[number, column]) != str(tables[1].at[number, column]):
                yield f"trial {number}: {column}"
    bests = [to_json(folder.read_best()) for folder in (one, other)]
    for key in sorted(bests[0].keys() | bests[1].keys()):
        if key != "seconds" and bests[0].get(key) != bests[1].get(key):
            yield f"best.json: {key}"
    yield from _other_bytes(one.path, other.path)


def _other_bytes(one: Path, other: Path) -> Iterator[str]:
    """Name the files that hold something else: the predictions, and the model's weights."""
    digests = [_digests(folder) for folder in (one, other)]
    for name in sorted(digests[0].keys() | digests[1].keys()):
        if digests[0].get(name) != digests[1].get(name):
            yield name


def _digests(folder: Path) -> dict[str, str]:
    tables = ("predictions", "probabilities", "importances", "fusions", "rung_zero")
    names = [f"{name}.csv" for name in tables]
    files = [folder / name for name in names if (folder / name).exists()]
    files += (folder / "model").rglob("*.safetensors")
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def _planned(draw: random.Random, most: int) -> list[str]:
    """Draw at which stages a search is killed: once or twice at each, in their order."""
    stages = [stage for stage in _STAGES for _ in range(draw.choice((1, 1, 2)))]
    return sorted(draw.sample(stages, min(most, len(stages))), key=_STAGES.index)


def _told(kills: Counter[tuple[str, str]], key: int) -> str:
    counts = Counter[str]()
    for pair, count in kills.items():
        counts[pair[key]] += count
    return ", ".join(f"{count} {name}" for name, count in counts.most_common())


def _unmet(kills: Counter[tuple[str, str]]) -> Iterator[str]:
    met = {word for pair in kills for word in pair}
    for name in (*_STAGES, *_DRIVER, *_SERVERS, "worker"):
        if name not in met:
            yield f"some kill must be of {name}, got none"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the chaos.

    Args:
        arguments: The command line; that of the process by default.

    Returns:
        The exit code: 0 when nothing was lost, doubled or changed.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=5, help="of each search")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--slots", type=int, default=2)
    asked = parser.parse_args(arguments)
    draw, kills, faults = random.Random(asked.seed), Counter[tuple[str, str]](), list[str]()
    calm: dict[str, RunFolder] = {}
    began, rounds, attempts = time.monotonic(), 0, 0
    with tempfile.TemporaryDirectory() as home:
        while kills.total() < asked.kills and rounds < asked.kills + len(_SEARCHES):
            words = _SEARCHES[rounds % len(_SEARCHES)]
            shared = f"{words} --trials {asked.trials} --max-concurrent {asked.slots}"
            if words not in calm:
                unbroken = Round(shared, Path(home, f"calm-{rounds}"), draw, [])
                unbroken.home.mkdir()
                unbroken.search()
                calm[words] = unbroken.folder
                faults += [f"unbroken: {fault}" for fault in unbroken.faults]
            sys.stdout.write(f"round {rounds}: {words}\n")
            plan = _planned(draw, asked.kills - kills.total())
            one = Round(shared, Path(home, f"{rounds}"), draw, plan)
            one.home.mkdir()
            one.search()
            found = [*one.faults, *_lost(one.folder, asked.trials)]
            found += [f"changed: {change}" for change in _changed(one.folder, calm[words])]
            faults += [f"round {rounds}: {fault}" for fault in found]
            sys.stdout.writelines(f"  FAULT {fault}\n" for fault in found)
            sys.stdout.flush()
            kills += one.kills
            rounds, attempts = rounds + 1, attempts + one.attempts
            shutil.rmtree(one.home)
    faults += _unmet(kills) if asked.kills >= 50 else []
    sys.stdout.write(
        f"\n{machine()}\n{kills.total()} kills in {rounds} searches and {attempts} attempts,"
        f" {time.monotonic() - began:.0f} s\nat {_told(kills, 0)}\nof {_told(kills, 1)}\n"
        f"lost, doubled, changed or not told well: {len(faults)}\n"
    )
    sys.stdout.writelines(f"  {fault}\n" for fault in faults)
    return int(bool(faults) or kills.total() < asked.kills)


if __name__ == "__main__":
    sys.exit(main())
