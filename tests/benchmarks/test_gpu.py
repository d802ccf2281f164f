"""The benchmark for a GPU, on the CPU in tiny shapes; what it works out, by hand."""

from __future__ import annotations

import json
import os
import threading
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from tests.benchmarks import side_by_side
from tests.benchmarks.gpu import (
    REAL,
    SMALL,
    asha_epochs,
    epoch_seconds,
    left_out,
    main,
    search_hours,
    table_rows,
    timed_rows,
)
from tests.benchmarks.pace import Pace, next_chunk, pace
from tests.benchmarks.ways import WAYS
from tests.benchmarks.whole_trial import Trial

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ROWS = (
    "build, images/s",
    "epoch uncut, s",
    "epoch cut, s",
    "epoch cut + one token, s",
    "epoch of 5 folds, s",
    "  GPU busy",
    "  peak memory, MB",
    "  of it activations, MB",
    "1 side by side, samples/s",
    "2 side by side, samples/s",
    "batches timed",
    "40 trials in full, h",
    "40 trials with ASHA, h",
)
SAMPLES = 64
WORDS = f"--device cpu --small --samples {SAMPLES} --seconds 0.02 --side-by-side 1 2 --threads 1"


class Thread(threading.Thread):
    """A process that shares this one's memory, and starts at once."""

    def __init__(
        self, target: Callable[..., None], args: tuple[Connection, str], daemon: bool
    ) -> None:
        pipe, device = args
        own = Connection(os.dup(pipe.fileno()))  # who starts a process closes its own
        super().__init__(target=target, args=(own, device), daemon=daemon)

    def kill(self) -> None:
        pass

    def join(self, timeout: float | None = None) -> None:
        pass


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path: Path = tmp_path_factory.mktemp("benchmark") / "gpu.json"
    with pytest.MonkeyPatch.context() as patch:
        context = SimpleNamespace(Pipe=Pipe, Process=Thread)
        patch.setattr(side_by_side.multiprocessing, "get_context", lambda _: context)
        patch.setattr(side_by_side, "cores", lambda: 1)
        main([*WORDS.split(), "--json", str(path)])
    return json.loads(path.read_text())


@pytest.mark.slow
def test_every_measure_of_every_architecture_is_told(record: Any) -> None:
    results = record["results"]
    assert [one["title"] for one in results] == [one.title for one in REAL]
    assert (left_out(results), record["never_begun"]) == ([], [])
    rows = {name: cells for name, *cells in table_rows(results, (1, 2))}
    assert tuple(rows) == ROWS
    missing = {name for name, cells in rows.items() if "-" in cells}
    assert missing == {"  GPU busy", "40 trials in full, h", "40 trials with ASHA, h"}
    for hours in rows["40 trials in full, h"], rows["40 trials with ASHA, h"]:
        assert [cell != "-" for cell in hours] == [True, True, False, False, False]


@pytest.mark.slow
def test_what_a_search_takes_is_worked_out_from_the_measured(record: Any) -> None:
    one = record["results"][0]
    rates = [one["side_by_side"][count]["samples_per_second"] for count in ("1", "2")]
    epochs = 40 * 6 * one["folds"]["seconds"] * rates[0] / max(rates)
    built = SAMPLES / one["build"]["images_per_second"]
    assert one["search"]["in_full"] == pytest.approx((built + epochs) / 3600)
    batches = [one["epoch"][way]["train_batches"] for way in WAYS] + [one["folds"]["batches"]]
    assert min(batches) >= 1
    assert one["build"]["images"] >= 1


@pytest.fixture
def one_core() -> Iterator[None]:
    """Let processes have one core, and so one thread: more wait for each other at work."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


@pytest.mark.slow
@pytest.mark.usefixtures("one_core")
def test_processes_train_side_by_side_and_say_what_fails(tmp_path: Path) -> None:
    architecture, cpu = SMALL[0], torch.device("cpu")
    config = architecture.config(2)
    trial = Trial.of(architecture, architecture.load().towers, config, 160, cpu)
    torch.save(trial, tmp_path / "trial")
    with side_by_side.Crew(2, cpu, patience=900) as crew:
        for count in (1, 2):
            did = crew.train(tmp_path / "trial", count, 0.05)
            assert len(did) == count
            assert all(one.samples >= 80 and one.seconds >= 0.05 for one in did)
        with pytest.raises(RuntimeError, match="FileNotFoundError"):
            crew.train(tmp_path / "none", 2, 0.05)
        assert len(crew.train(tmp_path / "trial", 2, 0.05)) == 2, "they go on"
        crew._workers[1]._process.kill()
        crew._workers[1]._process.join()
        with pytest.raises(RuntimeError, match="its process died"):
            crew.train(tmp_path / "trial", 2, 0.05)
        assert len(crew.train(tmp_path / "trial", 1, 0.05)) == 1


def test_the_small_shapes_stand_for_the_real_ones() -> None:
    assert [(one.variant, one.title) for one in SMALL] == [(o.variant, o.title) for o in REAL]
    assert [one.side for one in REAL] == [224, 384, 224, 224, 224]


def test_an_epoch_is_four_fifths_trained_and_one_validated() -> None:
    # 3,200 samples in 200 steps of 0.1 s, 800 in 50 of 0.02 s.
    assert epoch_seconds(Pace(0.1, 9), Pace(0.02, 9), 4000, 16) == pytest.approx(21.0)
    # 9 of 11 samples in 3 steps, 2 in 1.
    assert epoch_seconds(Pace(1.0, 1), Pace(0.5, 1), 11, 4) == pytest.approx(3.5)


@pytest.mark.parametrize(
    ("share", "rows"), [(2.0, 3200), (1.0, 3200), (0.5, 1600), (0.126, 400), (0.0001, 32)]
)
def test_folds_train_on_what_there_is_time_for_in_whole_batches(share: float, rows: int) -> None:
    assert timed_rows(3200, 16, share) == rows


def test_folds_smaller_than_two_batches_are_trained_whole() -> None:
    assert timed_rows(20, 16, 0.1) == 20


@pytest.mark.parametrize(
    ("trials", "most", "epochs"),
    [
        (40, 6, 40 * 2 + 14 * 4),
        (40, 10, 40 * 2 + 14 * 4 + 5 * 4),
        (40, 2, 80),
        (40, 1, 40),
        (1, 20, 20),
    ],
)
def test_one_trial_in_three_goes_on_at_each_rung(trials: int, most: int, epochs: int) -> None:
    assert asha_epochs(trials, most) == epochs


def test_what_forty_trials_take_by_hand() -> None:
    # 240 epochs of 30 s and 90 s to build; four side by side are 2.5 times as fast as one.
    found = search_hours(30.0, 90.0, {1: 100.0, 2: 180.0, 4: 250.0}, 6)
    assert found["side_by_side"] == 4
    assert found["one_at_a_time"] == pytest.approx((7200 + 90) / 3600)
    assert found["in_full"] == pytest.approx((2880 + 90) / 3600)
    assert found["with_asha"] == pytest.approx((136 * 12 + 90) / 3600)


def test_trials_that_hinder_each_other_run_one_at_a_time() -> None:
    found = search_hours(30.0, 0.0, {1: 100.0, 2: 90.0}, 6)
    assert (found["side_by_side"], found["in_full"]) == (1, found["one_at_a_time"])
    assert search_hours(30.0, 0.0, {}, 6)["in_full"] == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("count", "elapsed", "chunk"),
    [
        (0, 0.0, 1),
        (1, 0.1, 1),
        (4, 0.4, 4),  # 6 would fit
        (8, 0.79, 2),
        (9, 0.95, 1),
    ],
)
def test_the_clock_is_looked_at_before_a_second_is_over(
    count: int, elapsed: float, chunk: int
) -> None:
    assert next_chunk(count, elapsed, 1.0) == chunk


def test_a_pace_is_the_mean_of_the_steps_after_the_first_two(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    cost = iter([100.0, 100.0, *[0.25] * 99])

    def step() -> None:
        now[0] += next(cost)

    assert pace(step, 1.0) == Pace(0.25, 4)
