from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING, Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from search.study.journal import StudyJournal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "study.journal"


def open_plainly(path: Path) -> optuna.Study:
    """As another process has it, such as optuna-dashboard."""
    storage = JournalStorage(JournalFileBackend(str(path)))
    return optuna.create_study(storage=storage, study_name="s", load_if_exists=True)


def open_ours(path: Path) -> tuple[optuna.Study, StudyJournal]:
    journal = StudyJournal(path)
    study = optuna.create_study(
        storage=JournalStorage(journal), study_name="s", load_if_exists=True
    )
    return study, journal


def trials_in(path: Path) -> list[optuna.trial.FrozenTrial]:
    storage = JournalStorage(JournalFileBackend(str(path)))
    return optuna.load_study(storage=storage, study_name="s").trials


def run_trial(study: optuna.Study) -> None:
    trial = study.ask()
    trial.suggest_float("rate", 0.0, 1.0)
    trial.report(0.25, 3)
    trial.set_user_attr("fate", "finished")
    study.tell(trial, 0.5)


def operations(path: Path) -> list[dict[str, Any]]:
    own = {"worker_id", "datetime_start", "datetime_complete"}
    logs = [json.loads(line) for line in path.read_text().splitlines()]
    return [{name: value for name, value in log.items() if name not in own} for log in logs]


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The files that were waited for, one entry per write."""
    calls: list[int] = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda number: (calls.append(number), fsync(number)))
    return calls


def test_a_block_is_one_write_of_the_same_logs(path: Path, synced: list[int]) -> None:
    study, journal = open_ours(path)
    study.sampler = optuna.samplers.RandomSampler(seed=0)
    before = len(synced)
    with journal.one_write():
        run_trial(study)
        assert len(synced) == before
    assert len(synced) == before + 1

    plain = path.with_name("plain.journal")
    other = open_plainly(plain)
    other.sampler = optuna.samplers.RandomSampler(seed=0)
    run_trial(other)
    assert operations(path) == operations(plain)


def test_within_a_block_the_study_sees_what_is_held_back(path: Path) -> None:
    study, journal = open_ours(path)
    run_trial(study)
    with journal.one_write():
        run_trial(study)
        (first, second) = study.trials
        assert second.state is TrialState.COMPLETE
        assert second.intermediate_values == first.intermediate_values == {3: 0.25}
        assert second.user_attrs == {"fate": "finished"}
        assert len(trials_in(path)) == 1, "the file has it when the block ends"
    assert study.trials == trials_in(path)


def test_a_block_within_a_block_ends_with_it(path: Path) -> None:
    study, journal = open_ours(path)
    with journal.one_write():
        with journal.one_write():
            run_trial(study)
        assert not trials_in(path)
        run_trial(study)
    assert len(trials_in(path)) == 2


def test_another_writer_waits_for_the_end_of_a_block(path: Path) -> None:
    study, journal = open_ours(path)
    other = open_plainly(path)
    noting = threading.Thread(target=lambda: other.set_user_attr("note", "from the dashboard"))
    with journal.one_write():
        trial = study.ask()
        noting.start()
        trial.suggest_float("rate", 0.0, 1.0)
        noting.join(timeout=0.2)
        assert noting.is_alive()
        study.tell(trial, 0.5)
    noting.join()
    run_trial(study)
    assert study.user_attrs == {"note": "from the dashboard"}
    assert study.trials == other.trials == trials_in(path)
    assert [t.state for t in study.trials] == [TrialState.COMPLETE] * 2


def test_what_others_wrote_before_a_block_is_read_in_it(path: Path) -> None:
    study, journal = open_ours(path)
    run_trial(open_plainly(path))
    with journal.one_write():
        run_trial(study)
        assert [trial.number for trial in study.trials] == [0, 1]
    assert study.trials == trials_in(path)


def test_what_earlier_blocks_wrote_is_not_gone_through_again(path: Path) -> None:
    journal, begins = StudyJournal(path), []
    for number in range(3):
        begins.append(path.stat().st_size)
        with journal.one_write():
            assert list(journal.read_logs(number)) == []
            journal.append_logs([{"number": number}])
    with path.open("r+b") as file:
        file.write(b" " * begins[2])  # one line now: from the start, logs would be miscounted
    with path.open("a") as file:
        file.write('{"number": 3}\n')
    assert list(journal.read_logs(3)) == [{"number": 3}]


def test_an_exception_in_a_block_loses_nothing_and_frees_the_file(path: Path) -> None:
    study, journal = open_ours(path)

    def interrupted() -> None:
        with journal.one_write():
            study.ask()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [t.state for t in trials_in(path)] == [TrialState.RUNNING]
    run_trial(open_plainly(path))
    assert len(study.trials) == 2


def test_a_line_torn_by_a_kill_is_cut_off_when_the_journal_is_opened(path: Path) -> None:
    run_trial(open_plainly(path))
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"op_code":4,"wor')
    study, _ = open_ours(path)
    assert path.read_bytes().startswith(whole)
    run_trial(study)
    assert len(trials_in(path)) == 2
