"""Work whose files are away for a while waits for them, and goes on as if it had not."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from tests.trainables.conftest import PARAMS, comparable, steps
from trainables import reach
from trainables.reach import OutOfReachError, await_files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trainables.experiment import Experiment
    from trainables.trainable import SentimentTrainable


@pytest.mark.slow
def test_a_trial_waits_for_its_data_and_ends_as_an_unbroken_one(
    start: Callable[..., SentimentTrainable],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reach, "_SECONDS_BETWEEN_LOOKS", 0.01)
    share, away = tmp_path / "share", tmp_path / "away"
    share.mkdir()
    unbroken = steps(start(PARAMS, cache=share / "cache"), 3)
    trial = start(PARAMS, cache=share / "cache")
    assert steps(trial, 1) == unbroken[:1]
    share.rename(away)
    timer = threading.Timer(0.3, lambda: away.rename(share))
    timer.start()
    trial._run = None  # as a worker that has not mapped its files yet
    trial._bench._sources.clear()
    assert comparable(trial.step()) == unbroken[1]
    timer.join()
    assert comparable(trial.step()) == unbroken[2]


def test_what_stays_away_is_told_apart_from_the_trials_own_faults(
    make_experiment: Callable[..., Experiment], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reach, "_SECONDS_BETWEEN_LOOKS", 0.01)
    monkeypatch.setattr(reach, "PATIENCE_SECONDS", 0.03)
    own = KeyError("k")
    with pytest.raises(KeyError) as raised:
        await_files(make_experiment(cache=None), own)
    assert raised.value is own
    with pytest.raises(OutOfReachError, match="gone") as lost:
        await_files(make_experiment(cache=tmp_path / "gone"), own)
    assert lost.value.__cause__ is own
