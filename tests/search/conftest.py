"""What the tests of the search share: a study in a file, a scripted Ray, a real search."""

from __future__ import annotations

import math
from contextlib import nullcontext
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from optuna.storages import JournalStorage

from search.run import main
from search.study.frozen_first import Order
from search.study.journal import StudyJournal
from search.study.resume import put_right
from search.study.sampler import begin, open_study
from search.tune.scheduler import FiniteASHA
from search.tune.searcher import Limits, StudySearcher
from search.tune.stopper import SearchStopper
from spaces.space import Space
from tests.search.command import QUICK, Command
from tests.search.postgresql import Server, installed
from trainables.evaluation.metrics import mode_of
from trainables.hyperparameter import FloatRange, Hyperparameter, IntRange

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from optuna.storages import BaseStorage

METRIC = "val_weighted_f1"
HAND_TUNED = {"rate": 0.5, "width": 2}


TOY_SPACE = Space(
    [
        Hyperparameter("rate", 0.5, FloatRange(0.0, 1.0)),
        Hyperparameter("width", 2, IntRange(1, 4)),
    ]
)


class FakeRay:
    """Calls the searcher and the scheduler in the order of Ray's controller."""

    def __init__(
        self,
        path: Path,
        metric: str = METRIC,
        seed: int = 0,
        sampler: Any = "tpe",
        storage: BaseStorage | None = None,
        **more: Any,
    ) -> None:
        self.metric = metric
        journal = StudyJournal(path)
        self.study = open_study(storage or JournalStorage(journal), "toy", metric, sampler, seed)
        begin(self.study, HAND_TUNED)
        put_right(self.study)
        self.stopper = SearchStopper(math.inf)
        self.slots = 9
        self.searcher = StudySearcher(
            self.study,
            journal.one_write if storage is None else nullcontext,
            Order(TOY_SPACE, {}, 0),
            metric,
            limits=Limits(self.stopper, lambda: self.slots),
            **more,
        )
        self.asha = FiniteASHA(
            self.searcher.records, metric, max_epochs=9, grace_epochs=1, reduction_factor=3
        )
        self.count = 0

    def start(self) -> Any:
        trial = SimpleNamespace(trial_id=f"ray-{self.count}", last={})
        self.count += 1
        trial.config = self.searcher.suggest(trial.trial_id)
        if trial.config is not None:  # else there is no trial yet
            self.asha.on_trial_add(None, trial)
        return trial

    def report(self, trial: Any, epoch: int, score: Any, **more: Any) -> bool:
        """Give whether the trial goes on."""
        result = {"epoch": epoch, "diverged": "", "done": False, **more}
        if score is not None:
            result[self.metric] = score
        trial.last = result
        if not result["done"]:
            decision = self.asha.on_trial_result(None, trial, dict(result))
            result["done"] = decision == "STOP"
        if not result["done"]:
            self.searcher.on_trial_result(trial.trial_id, dict(result))
            return True
        self.asha.on_trial_complete(None, trial, dict(result))
        self.searcher.on_trial_complete(trial.trial_id, dict(result))
        return False

    def run(self, scores: Sequence[Any], **more: Any) -> Any:
        trial = self.start()
        for epoch, score in enumerate(scores, 1):
            last = {"done": True, **more} if epoch == len(scores) else {}
            if not self.report(trial, epoch, score, **last):
                break
        return trial

    def fail(self, trial: Any, error: Exception) -> None:
        trial.get_pickled_error = lambda: error
        self.asha.on_trial_error(None, trial)
        self.searcher.on_trial_complete(trial.trial_id, error=True)

    @property
    def mode(self) -> str:
        return mode_of(self.metric)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """A PostgreSQL server of these tests alone, with a password."""
    programs = installed()
    if programs is None:
        pytest.skip("PostgreSQL is not installed: there is no initdb")
    pytest.importorskip("psycopg", reason="the extra `postgresql` is not installed")
    with Server(programs) as server:
        yield server


@pytest.fixture
def fake_ray(tmp_path: Path) -> FakeRay:
    return FakeRay(tmp_path / "study.journal")


@pytest.fixture
def make_fake_ray(tmp_path: Path) -> Callable[..., FakeRay]:
    def make(name: str = "study.journal", **more: Any) -> FakeRay:
        return FakeRay(tmp_path / name, **more)

    return make


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's cache that searches share: demo data and frozen activations."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def searched(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Command:
    """A real search of four trials in `out`, with what it said; a test changes a copy only."""
    command = Command(tmp_path_factory.mktemp("searched"), cache)
    code, out, errors = command.run(f"{QUICK} --trials 4 --out out")
    assert code == 0, errors
    (command.folder / "stdout").write_text(out)
    (command.folder / "stderr").write_text(errors)
    return command


@pytest.fixture
def run(
    tmp_path: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Callable[[str], tuple[int, str, str]]:
    """Run the command in this process; gives its exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setenv("COLUMNS", "100")

    def command(words: str) -> tuple[int, str, str]:
        code = main(words.split())
        return code, *capfd.readouterr()

    return command


@pytest.fixture
def refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], str]:
    """Give what a search on the demo data says, in one line, when it refuses these words."""
    monkeypatch.chdir(tmp_path)

    def refuse(words: str) -> str:
        assert main(["--model", "early_fusion", "--data", "demo", *words.split()]) == 2
        error = capsys.readouterr().err
        assert len(error.splitlines()) == 1
        return error

    return refuse
