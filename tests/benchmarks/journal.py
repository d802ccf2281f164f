"""Our journal beside Optuna's own backend: the time of the driver, and what a kill leaves.

    python -m tests.benchmarks.journal --folder DISK

Both keep the same study by the same calls, in turn: what a search writes of a trial when it is
drawn, at every epoch and when it is told. Then a process that does so is killed again and again,
and the trials are counted that have some of their hyperparameters, but not all: a search that goes
on draws the rest, and with `--sampler random` not as it would have done.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import statistics
import tempfile
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from search.study.journal import StudyJournal
from search.study.trial import TrialRecord
from spaces import SPACES
from tests.benchmarks.reporting import machine

if TYPE_CHECKING:
    from collections.abc import Callable

_FACTS = TrialRecord(0, {}, scores={1: 0.5}).user_attrs("max")
_KINDS = ("ours", "optuna")
_REPORTS = 10


def _search(kind: str, path: Path, trials: int) -> float:
    """Give the seconds that the calls of a search take."""
    journal = StudyJournal(path) if kind == "ours" else JournalFileBackend(str(path))
    block: Callable[[], AbstractContextManager[Any]] = getattr(journal, "one_write", nullcontext)
    sampler = optuna.samplers.RandomSampler(seed=0)
    study = optuna.create_study(storage=JournalStorage(journal), sampler=sampler)
    began = time.perf_counter()
    for _ in range(trials):
        with block():
            trial = study.ask()
            SPACES["early_fusion"](trial)
        for epoch in range(1, _REPORTS + 1):
            trial.report(0.5, epoch)
        with block():
            for name, fact in _FACTS.items():
                trial.set_user_attr(name, fact)
            study.tell(trial, 0.5)
    return time.perf_counter() - began


def _trials(path: Path) -> list[optuna.trial.FrozenTrial]:
    """Read a journal, without the line that a kill may have torn."""
    copy = path.with_suffix(".copy")
    content = path.read_bytes()
    copy.write_bytes(content[: content.rfind(b"\n") + 1])
    storage = JournalStorage(JournalFileBackend(str(copy)))
    (study,) = optuna.get_all_study_names(storage)
    return optuna.load_study(storage=storage, study_name=study).trials


def _drawn_in_part(kind: str, folder: Path, kills: int) -> int:
    draw, found = random.Random(0), 0
    for number in range(kills):
        path = folder / f"{kind}-{number}.killed"
        process = multiprocessing.get_context("fork").Process(
            target=_search, args=(kind, path, 1_000_000)
        )
        process.start()
        while not path.exists() or path.stat().st_size < 20_000:
            time.sleep(0.01)
        time.sleep(draw.uniform(0, 0.3))
        process.kill()
        process.join()
        last = _trials(path)[-1]
        found += len(last.params) > 0 and not last.intermediate_values and not _is_whole(last)
    return found


def _is_whole(trial: optuna.trial.FrozenTrial) -> bool:
    """Say whether the space asks for no more than a trial has."""
    asked = optuna.trial.FixedTrial(trial.params)
    try:
        SPACES["early_fusion"](asked)  # type: ignore[arg-type]
    except ValueError:  # a value that it lacks
        return False
    return True


def main() -> None:
    """Time both, and kill both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--folder", type=Path, help="on the disk of interest")
    args = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    print(machine())
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        home, seconds = Path(name), dict[str, list[float]](ours=[], optuna=[])
        for number in range(args.rounds):
            for kind in _KINDS if number % 2 else reversed(_KINDS):
                path = home / f"{kind}-{number}.journal"
                seconds[kind].append(_search(kind, path, args.trials))
        for kind, each in seconds.items():
            print(f"{kind}: {statistics.median(each) / args.trials * 1e3:.1f} ms a trial")
        ratios = [b / a for a, b in zip(*seconds.values(), strict=True)]
        spread = f"{min(ratios):.1f} to {max(ratios):.1f}"
        print(f"optuna / ours: {statistics.median(ratios):.1f} ({spread})")
        for kind in _KINDS:
            found = _drawn_in_part(kind, home, args.kills)
            print(f"{kind}: {found} of {args.kills} kills left a trial drawn in part")


if __name__ == "__main__":
    main()
