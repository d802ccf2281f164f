"""A study that lives in a relational database: SQLite in a file, and a real PostgreSQL server."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import optuna
import pytest
from optuna.trial import TrialState

from analysis.run_folder.folder import RunFolder
from analysis.run_folder.study import study_trials
from analysis.run_folder.study_storage import open_database, open_storage
from search.config.plan import make_plan
from search.config.serialization import plain
from search.config.settings import parse
from search.errors import SettingsError
from tests.analysis.synthetic import SEARCHED
from tests.search.command import QUICK, Command, kill
from tests.search.conftest import FakeRay
from tests.search.postgresql import PASSWORD

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from search.config.plan import Plan
    from tests.search.postgresql import Server

SECRET = "s3cret"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'study.db'}"
    server: Server = request.getfixturevalue("postgresql")
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    return server.url


def plan_in(folder: Path, *words: str) -> Plan:
    common = ("--model", "early_fusion", "--data", "demo", "--out", str(folder))
    return make_plan(parse([*common, *words]))


def leave(plan: Plan) -> None:
    """What a search writes of itself before its first trial."""
    plan.folder.path.mkdir(exist_ok=True)
    record = SEARCHED | {"settings": plain(plan.settings), "name": plan.name}
    plan.folder.search.write_text(json.dumps(record))


def lives(ray: FakeRay) -> list[tuple[Any, ...]]:
    ray.run([0.5, 0.6, 0.4])
    ray.run([0.1])
    ray.run([0.7, 0.7, 0.8], diverged="at the end")
    ray.fail(ray.start(), RuntimeError("out of luck"))
    ray.report(ray.start(), 1, 0.95)
    ray.searcher.close()
    return [
        (t.state, t.params, t.value, t.intermediate_values, t.user_attrs.get("fate"))
        for t in ray.study.trials
    ]


@pytest.mark.slow
def test_a_database_keeps_what_a_journal_keeps(url: str, tmp_path: Path) -> None:
    storage = open_database(url)
    ray = FakeRay(tmp_path / "unused.journal", storage=storage)
    assert lives(ray) == lives(FakeRay(tmp_path / "study.journal"))
    again = FakeRay(tmp_path / "unused.journal", storage=open_database(url))
    assert [r.fate for r in again.searcher.records.values()] == [
        *("finished", "finished", "diverged", "failed", "interrupted")
    ]
    trial = again.start()
    assert again.searcher.records[trial.trial_id].number == 4, "what was cut off goes on"
    optuna.delete_study(study_name="toy", storage=storage)


def test_a_killed_driver_leaves_trials_that_go_on(url: str, tmp_path: Path) -> None:
    FakeRay(tmp_path / "unused.journal", storage=open_database(url)).start()
    storage = open_database(url)
    again = FakeRay(tmp_path / "unused.journal", storage=storage)
    assert [trial.state for trial in again.study.trials] == [TrialState.WAITING]
    assert again.study.trials[0].user_attrs["losses"] == 1
    optuna.delete_study(study_name="toy", storage=storage)


def test_a_run_says_where_its_study_is_and_goes_on_there(url: str, tmp_path: Path) -> None:
    plan = plan_in(tmp_path / "run", "--study-storage", url)
    leave(plan)
    place = plan.open_storage()
    optuna.create_study(storage=place.storage, study_name=place.name)
    again = make_plan(parse(["--resume", str(tmp_path / "run")]))
    assert again.name == plan.name
    assert again.name in optuna.get_all_study_names(again.open_storage().storage)


def test_two_runs_of_a_name_have_studies_of_their_own(tmp_path: Path) -> None:
    words = ("--study-storage", f"sqlite:///{tmp_path / 'study.db'}")
    names = [plan_in(tmp_path / folder / "run", *words).name for folder in "ab"]
    assert all(name.startswith("run-") for name in names)
    assert len(set(names)) == 2


def test_a_file_of_sqlite_is_found_from_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plan = plan_in(tmp_path / "run", "--study-storage", "sqlite:///study.db")
    assert plan.settings.resources.study_storage == f"sqlite:///{tmp_path / 'study.db'}"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (f"postgresql://me:{SECRET}@h/d", "got postgresql://me:***@h/d: it would be written"),
        (f"postgresql://me@h/d?password={SECRET}", "got postgresql://me@h/d: it would be written"),
        (f"postgresql:/me:{SECRET}@h/d", "must be DIALECT://USER@HOST/DATABASE or sqlite:///FILE"),
        ("sqlite://", "got sqlite:// without a database"),
        ("sqlite:///:memory:", "got sqlite:///:memory: without a database"),
        ("nosuch://h/d", "--study-storage: nosuch://h/d needs the package of its driver"),
        ("oracle://h/d", "--study-storage: oracle://h/d needs the package of its driver"),
        ("sqlite:////no/such/folder/f.db", "cannot be had: unable to open database file"),
    ],
)
def test_what_is_no_database_is_refused_before_any_work(
    url: str, message: str, tmp_path: Path, refused: Callable[[str], str]
) -> None:
    error = refused(f"--study-storage {url}")
    assert message in error
    assert error.startswith("error: --study-storage")
    assert SECRET not in error
    assert not list(tmp_path.glob("runs/*"))


def test_a_server_that_does_not_answer_is_named(refused: Callable[[str], str]) -> None:
    pytest.importorskip("psycopg", reason="the extra `postgresql` is not installed")
    error = refused("--study-storage postgresql+psycopg://me@127.0.0.1:1/studies")
    assert "127.0.0.1:1/studies cannot be had: connection" in error


def test_a_database_without_the_study_of_a_run_is_refused(tmp_path: Path) -> None:
    plan = plan_in(tmp_path / "run", "--study-storage", f"sqlite:///{tmp_path / 'study.db'}")
    leave(plan)
    again = make_plan(parse(["--resume", str(plan.folder.path)]))
    again.open_storage()  # it had not begun
    plan.folder.trials.touch()
    with pytest.raises(SettingsError, match=f"must hold the study {plan.name} of "):
        again.open_storage()


def test_a_study_in_a_file_stays_there(tmp_path: Path) -> None:
    leave(plan_in(tmp_path / "run"))
    words = f"--resume {tmp_path / 'run'} --study-storage sqlite:///{tmp_path / 'study.db'}"
    with pytest.raises(SettingsError, match=r"must be left out, as .*run holds its study"):
        make_plan(parse(words.split()))


def test_a_database_that_is_lost_ends_the_search(
    postgresql: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    storage = open_database(postgresql.url)
    ray = FakeRay(tmp_path / "unused.journal", storage=storage)
    ray.run([0.5])
    trial = ray.start()
    postgresql.stop()
    try:
        ray.report(trial, 1, 0.3, done=True)
        assert isinstance(ray.stopper.fault, ConnectionError)
        assert ray.stopper.reason == "the study could not be written"
        assert ray.start().config is None
    finally:
        postgresql.start()
    again = FakeRay(tmp_path / "unused.journal", storage=storage)
    states = [t.state for t in again.study.trials]
    assert states == [TrialState.COMPLETE, TrialState.WAITING], "the old connection is replaced"
    optuna.delete_study(study_name="toy", storage=storage)


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_a_killed_search_goes_on_in_postgresql(
    postgresql: Server,
    tmp_path: Path,
    cache: Path,
    run: Callable[[str], tuple[int, str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    command = Command(tmp_path, cache)
    words = (
        f"{QUICK} --no-rung-zero --confirm 0 --no-retrain --trials 2 --out run"
        f" --study-storage {postgresql.url}"
    )
    code, _ = command.run_until(words, "[1/2] trial", kill)
    assert code == -signal.SIGKILL
    code, out, errors = run("--resume run")
    assert (code, errors) == (0, "")

    folder = RunFolder(tmp_path / "run")
    assert folder.read_trials()["trial"].tolist() == [0, 1]
    assert not folder.study.exists()
    storage, name = open_storage(folder)
    study = optuna.load_study(study_name=name, storage=storage)
    assert [trial.state.is_finished() for trial in study.trials] == [True] * 2
    assert [t.number for t in study_trials(folder, [], database=True)] == [0, 1]
    assert folder.report.exists()
    assert PASSWORD not in out
    for path in folder.path.rglob("*"):
        assert path.is_dir() or PASSWORD.encode() not in path.read_bytes(), path
