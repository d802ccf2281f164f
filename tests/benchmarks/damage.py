"""Every file of a finished run folder damaged in every way, and every command run on it.

    python -m tests.benchmarks.damage --calls 1000 --resumes 12
    python -m tests.benchmarks.damage --run runs/mine

Each call gets a copy of the folder with one file truncated, emptied, with one bit flipped,
replaced by a folder, or removed. It must refuse in lines that begin with `error:`, or say the same
as on the healthy folder; where a file is optional and gone, it must say so. Anything else is a
fault, and fails the run. With `--taken-as-they-are` the copies lack their digests, as folders of
earlier versions do: then only a traceback is a fault.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import analysis
from analysis.compare import main as compare
from analysis.report.__main__ import main as report
from analysis.run_folder import digests
from analysis.run_folder.folder import RunFolder
from analysis.run_folder.io import ResultsError
from search import ensemble, explain, predict
from tests.benchmarks.reporting import machine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_SEARCH = (
    "--model early_fusion --data demo --trials 6 --epochs 2 --image-size 32 --folds 2 --confirm 2"
    " --max-concurrent 2"
)
_NOT_OURS = {".lock", "ray"}
_PAIR = "pair.jpg"
_TABLES = ("trials", "history", "importances", "samples", "predictions", "probabilities")


class Answer(NamedTuple):
    """What a command said.

    Attributes:
        code: Its exit code; None where it raised.
        output: All that it printed and wrote for people.
        errors: What it printed on the standard error, or its traceback.
    """

    code: int | None
    output: str
    errors: str


def truncate(path: Path, _: random.Random) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def empty(path: Path, _: random.Random) -> None:
    path.write_bytes(b"")


def flip_a_bit(path: Path, draw: random.Random) -> None:
    content = bytearray(path.read_bytes() or b"\0")
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.write_bytes(content)


def replace_by_a_folder(path: Path, _: random.Random) -> None:
    path.unlink()
    path.mkdir()


def remove(path: Path, _: random.Random) -> None:
    path.unlink()


WAYS: tuple[Callable[[Path, random.Random], None], ...] = (
    truncate,
    empty,
    flip_a_bit,
    replace_by_a_folder,
    remove,
)


def _report(run: Path) -> tuple[int, str]:
    code = report([str(run)])
    return code, (run / "report.html").read_text(encoding="utf-8") if code == 0 else ""


def _compare(run: Path) -> tuple[int, str]:
    return compare([str(run)]), ""


def _ensemble(run: Path) -> tuple[int, str]:
    return ensemble.main([str(run)]), ""


def _predict(run: Path) -> tuple[int, str]:
    pair = ["--text", "what a lovely day", "--image", str(run.parent / _PAIR)]
    return predict.main([str(run), *pair]), ""


def _explain(run: Path) -> tuple[int, str]:
    code = explain.main([str(run), "--count", "2"])
    index = run / "explanations" / "index.json"
    return code, index.read_text(encoding="utf-8") if code == 0 else ""


def _load(run: Path) -> tuple[int, str]:
    try:
        loaded = analysis.load(run)
        tables = [getattr(loaded, name).to_csv() for name in _TABLES]
    except ResultsError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2, ""
    sys.stderr.writelines(f"note: {note}\n" for note in loaded.notes)
    return 0, "\n".join([str(loaded.search), str(loaded.best), *tables])


COMMANDS: Mapping[str, Callable[[Path], tuple[int, str]]] = {
    "report": _report,
    "compare": _compare,
    "ensemble": _ensemble,
    "predict": _predict,
    "explain": _explain,
    "load": _load,
}


def ask(command: Callable[[Path], tuple[int, str]], run: Path) -> Answer:
    """Run a command in this process.

    Args:
        command: The command.
        run: The run folder.

    Returns:
        What it said.
    """
    said, errors = StringIO(), StringIO()
    with redirect_stdout(said), redirect_stderr(errors):
        try:
            code, written = command(run)
        except SystemExit as end:
            return Answer(int(end.code or 0), said.getvalue(), errors.getvalue())
        except Exception:  # noqa: BLE001 - what must not happen is counted
            return Answer(None, said.getvalue(), traceback.format_exc())
    return Answer(code, said.getvalue() + written, errors.getvalue())


def verdict(found: Answer, healthy: Answer, name: str) -> str:
    """Judge what a command said of a damaged folder.

    Args:
        found: What it said.
        healthy: What it says of the healthy one.
        name: The damaged file's.

    Returns:
        `refused`, `same` or `said`; or what is wrong, in capitals.
    """
    lines = [line for line in found.errors.splitlines() if line.strip()]
    if found.code is None or "Traceback" in found.errors:
        return "TRACEBACK"
    if found.code == 2:
        told = [line for line in lines if line.startswith("error: ")]
        return "refused" if told else "REFUSED WITHOUT A WORD"
    if found.code != 0:
        return f"CODE {found.code}"
    if found.output == healthy.output:
        return "same"
    told = [line for line in [*lines, *found.output.splitlines()] if name in line]
    return "said" if any("note: " in line or "no report" in line for line in told) else "CHANGED"


def files_of(run: Path) -> list[Path]:
    """List the files of a run folder that a search wrote.

    Args:
        run: The folder.

    Returns:
        Paths in it.
    """
    found = (path.relative_to(run) for path in run.rglob("*") if path.is_file())
    return sorted(path for path in found if path.parts[0] not in _NOT_OURS)


def make_run(home: Path) -> Path:
    """Make a small finished search.

    Args:
        home: Where to.

    Returns:
        Its folder.
    """
    run = home / "healthy"
    words = [*_SEARCH.split(), "--out", str(run)]
    subprocess.run([sys.executable, "-m", "search.run", *words], check=True)
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        explain.main([str(run), "--count", "4"])
    return run


def copy_of(run: Path, copy: Path, *, with_digests: bool) -> Path:
    """Copy a run folder, for one call.

    Args:
        run: The folder.
        copy: Where to; removed first.
        with_digests: Whether the copy knows what its files held.

    Returns:
        The copy.
    """
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(run, copy, ignore=shutil.ignore_patterns(*_NOT_OURS))
    if not with_digests:
        (copy / digests.NAME).unlink(missing_ok=True)
    return copy


def resume(run: Path, trials: int) -> Answer:
    """Go on with a search that has all its trials.

    Args:
        run: The run folder.
        trials: How many it has.

    Returns:
        What the command said, and what it chose and predicts.
    """
    words = ["--resume", str(run), "--trials", str(trials)]
    done = subprocess.run(
        [sys.executable, "-m", "search.run", *words], capture_output=True, text=True, check=False
    )
    folder, told = RunFolder(run), done.stdout + done.stderr
    if done.returncode != 0:
        return Answer(done.returncode, "", told)
    table = folder.read_trials().drop(columns=["seconds", "peak_memory_mb"])
    best = folder.read_best()
    chosen = best.trial, best.params, best.score
    return Answer(0, f"{table.to_csv()}{chosen}{folder.read_predictions().to_csv()}", told)


def judge_resume(found: Answer, healthy: Answer) -> str:
    """Judge how a search goes on from a damaged folder.

    Args:
        found: What came of it.
        healthy: What comes of the healthy one.

    Returns:
        As `verdict`.
    """
    if "Traceback" in found.errors:
        return "TRACEBACK"
    if found.code == 2:
        return "refused" if "error: " in found.errors else "REFUSED WITHOUT A WORD"
    if found.code != 0:
        return f"CODE {found.code}"
    return "same" if found.output == healthy.output else "CHANGED"


def _say(table: Counter[tuple[str, str]], names: list[str]) -> None:
    verdicts = sorted({found for _, found in table})
    sys.stdout.write(f"{'command':<10}" + "".join(f"{each:>12}" for each in verdicts) + "\n")
    for name in names:
        counts = "".join(f"{table[name, each]:>12}" for each in verdicts)
        sys.stdout.write(f"{name:<10}{counts}\n")


class Damage:
    """Healthy answers, and what was said on damaged copies.

    Args:
        run: A finished run folder.
        home: Where copies are made.
        seed: Seeds what is damaged how.
        whole: Whether copies know what their files held.
    """

    def __init__(self, run: Path, home: Path, seed: int, *, whole: bool) -> None:
        self._run, self._copy, self._whole = run, home / "copy", whole
        self._draw = random.Random(seed)
        self.table: Counter[tuple[str, str]] = Counter()
        self.faults: list[str] = []
        shutil.copy(next((run / "thumbnails").glob("*.jpg")), home / _PAIR)

    def call(self, names: list[str], most: int) -> None:
        """Run commands on copies with a damaged file.

        Args:
            names: The commands.
            most: How many calls at most, drawn from all.
        """
        healthy = {name: ask(COMMANDS[name], self._fresh()) for name in names}
        for name, answer in healthy.items():
            if answer.code != 0:
                self.faults.append(f"{name} must work on the healthy run: {answer.errors}")
        files = files_of(self._fresh())
        calls = [(path, way, name) for path in files for way in WAYS for name in names]
        self._draw.shuffle(calls)
        for path, way, name in calls[:most]:
            way(self._fresh() / path, self._draw)
            answer = ask(COMMANDS[name], self._copy)
            what = f"{name}, {path}, {way.__name__}"
            self._note(name, what, verdict(answer, healthy[name], path.name), answer)

    def resume(self, count: int) -> None:
        """Go on with the search in copies with a damaged file.

        Args:
            count: How often.
        """
        trials = len(RunFolder(self._run).read_trials())
        healthy = resume(self._fresh(), trials) if count else None
        files = [path for path in files_of(self._fresh()) if path.parts[0] != "model"]
        for _ in range(count):
            path, way = self._draw.choice(files), self._draw.choice(WAYS)
            way(self._fresh() / path, self._draw)
            answer = resume(self._copy, trials)
            assert healthy is not None
            what = f"resume, {path}, {way.__name__}"
            self._note("resume", what, judge_resume(answer, healthy), answer)

    def _fresh(self) -> Path:
        return copy_of(self._run, self._copy, with_digests=self._whole)

    def _note(self, name: str, what: str, found: str, answer: Answer) -> None:
        self.table[name, found] += 1
        if found == "TRACEBACK" or (found.isupper() and self._whole):
            self.faults.append(f"{found}: {what}\n{answer.errors[-1500:]}")


def main() -> int:
    """Damage, call and judge.

    Returns:
        The exit code: 0 where nothing was wrong.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--resumes", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--commands", nargs="+", default=list(COMMANDS), choices=COMMANDS)
    parser.add_argument("--taken-as-they-are", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        run = asked.run or make_run(Path(home))
        damage = Damage(run, Path(home), asked.seed, whole=not asked.taken_as_they_are)
        damage.call(asked.commands, asked.calls)
        damage.resume(asked.resumes)
    _say(damage.table, [*asked.commands, "resume"])
    total, faults = sum(damage.table.values()), damage.faults
    sys.stdout.write(f"{machine()}\n{total} calls on damaged folders, {len(faults)} faults\n")
    sys.stdout.writelines(f"{fault}\n" for fault in faults[:40])
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
