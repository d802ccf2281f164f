"""Checkpoints of a trial: what goes on from one equals what was never broken off."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from ray.train._internal.storage import StorageContext
from ray.tune.result import SHOULD_CHECKPOINT

from tests.trainables.conftest import OTHER, PARAMS, steps
from trainables.trainable import RESUME_FROM, STATE, read_state

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainables.trainable import SentimentTrainable


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("reused", [False, True])
def test_a_trial_resumed_from_its_checkpoint_equals_an_unbroken_one(
    start: Callable[..., SentimentTrainable], tmp_path: Path, reused: bool, precision: str
) -> None:
    unbroken = start(PARAMS, precision=precision)
    expected = steps(unbroken, 3)
    broken = start(PARAMS, precision=precision)
    steps(broken, 1)
    broken.save_checkpoint(str(tmp_path))
    resumed = start(OTHER if reused else PARAMS, precision=precision)
    if reused:
        steps(resumed, 1)
        resumed.reset_config(dict(PARAMS))
    resumed.load_checkpoint(str(tmp_path))
    assert steps(resumed, 2) == expected[1:]


def test_a_checkpoint_is_safe_to_load_and_holds_no_frozen_tower(
    start: Callable[..., SentimentTrainable], tmp_path: Path
) -> None:
    trial = start(PARAMS | {"text_unfrozen_layers": 0, "image_unfrozen_layers": 0})
    trial.step()
    trial.save_checkpoint(str(tmp_path))
    state = torch.load(tmp_path / STATE, weights_only=True)
    assert state["epoch"] == 1
    assert all(name.startswith("head.") for name in state["trainers"][0]["classifier"])


@pytest.mark.slow
def test_a_checkpoint_can_be_taken_before_the_first_epoch(
    start: Callable[..., SentimentTrainable], tmp_path: Path
) -> None:
    start(PARAMS).save_checkpoint(str(tmp_path))
    resumed = start(PARAMS)
    resumed.load_checkpoint(str(tmp_path))
    assert steps(resumed, 2) == steps(start(PARAMS), 2)


@pytest.mark.slow
def test_checkpoints_are_asked_for_when_the_last_is_old_and_the_trial_goes_on(
    start: Callable[..., SentimentTrainable], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clock = [0.0]
    monkeypatch.setattr("trainables.trainable.time.monotonic", lambda: clock[0])
    trial = start(PARAMS, max_epochs=4)
    asked = []
    for now in (30.0, 61.0, 62.0, 200.0):
        clock[0] = now
        asked.append(trial.step().get(SHOULD_CHECKPOINT, False))
        if asked[-1]:
            trial.save_checkpoint(str(tmp_path))
    assert asked == [False, True, False, False]


@pytest.mark.slow
def test_no_checkpoint_is_asked_for_where_it_would_be_lost(
    start: Callable[..., SentimentTrainable], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, there = [0.0], [False]

    class Storage:  # as Ray's, which fails a trial that saves on a machine without the folder
        def _check_validation_file(self) -> None:
            if not there[0]:
                raise RuntimeError

    monkeypatch.setattr("trainables.trainable.time.monotonic", lambda: clock[0])
    trial = start(PARAMS, max_epochs=9)
    trial._storage = Storage()
    asked = []
    for now, reached in ((61.0, False), (100.0, True), (122.0, True)):
        clock[0], there[0] = now, reached
        asked.append(trial.step().get(SHOULD_CHECKPOINT, False))
    assert asked == [False, False, True], "it is looked for again after a while"


def test_rays_own_storage_says_where_a_checkpoint_would_be_lost(tmp_path: Path) -> None:
    # Not public: a trial asks it before Ray does, which would fail the trial.
    storage = StorageContext(str(tmp_path), "run")
    storage._check_validation_file()
    shutil.rmtree(tmp_path / "run")
    with pytest.raises(RuntimeError, match="storage"):
        storage._check_validation_file()


def test_a_checkpoint_on_a_full_disk_is_the_systems_error(
    start: Callable[..., SentimentTrainable], tmp_path: Path
) -> None:
    (tmp_path / STATE).symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device") as error:
        start(PARAMS).save_checkpoint(str(tmp_path))
    assert error.value.errno == errno.ENOSPC


@pytest.mark.slow
def test_a_trial_goes_on_from_the_checkpoint_of_an_earlier_attempt(
    start: Callable[..., SentimentTrainable], tmp_path: Path
) -> None:
    expected = steps(start(PARAMS), 3)
    killed = start(PARAMS)
    steps(killed, 2)
    killed.save_checkpoint(str(tmp_path))
    resumed = start(PARAMS | {RESUME_FROM: str(tmp_path)})
    assert steps(resumed, 1) == expected[2:]


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["missing", "torn", "empty"])
def test_a_checkpoint_that_a_kill_tore_costs_epochs_but_no_trial(
    start: Callable[..., SentimentTrainable], tmp_path: Path, damage: str
) -> None:
    killed = start(PARAMS)
    steps(killed, 1)
    killed.save_checkpoint(str(tmp_path))
    state = tmp_path / STATE
    if damage == "missing":
        state.unlink()
    else:
        state.write_bytes(state.read_bytes()[: 1000 if damage == "torn" else 0])
    resumed = start(PARAMS | {RESUME_FROM: str(tmp_path)})
    assert steps(resumed, 1) == steps(start(PARAMS), 1)


def test_a_checkpoint_with_code_in_it_is_not_executed(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "touched",))

    torch.save({"epoch": 1, "code": Evil()}, tmp_path / STATE)
    assert read_state(str(tmp_path)) is None
    assert not (tmp_path / "touched").exists()
