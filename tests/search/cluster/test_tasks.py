"""Tasks of a real Ray: every slot works, crashes are survived or told."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import ray
from ray.exceptions import TaskCancelledError

from search.cluster import activations as preparation
from search.cluster import tasks
from search.cluster.connection import connected
from search.cluster.resources import TrialResources, alive
from search.cluster.tasks import Task, TaskRunner, in_order, train_member
from search.errors import ClusterError, WorkError

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainables.experiment import Experiment

pytestmark = pytest.mark.slow


def scripted(**arguments: Any) -> Task:
    """A task that does what its arguments say; made here, so that no worker imports this file."""

    def work(bench: Any, **script: Any) -> tuple[int, int]:
        time.sleep(script.get("seconds", 0.0))
        if "mark" in script and not Path(script["mark"]).exists():
            Path(script["mark"]).touch()
            os._exit(1)
        if "error" in script:
            raise script["error"]
        return os.getpid(), bench.experiment.seed

    return Task(work, arguments)


def processes(runner: TaskRunner, seconds: float) -> set[int]:
    """The processes that do six tasks."""
    results = dict(runner.run([scripted(seconds=seconds)] * 6))
    assert sorted(results) == list(range(6))
    return {process for process, _ in results.values()}


@pytest.fixture
def make_runner(
    ray_cluster: None,  # noqa: ARG001  # Ray must be there
    make_experiment: Callable[..., Experiment],
    tmp_path: Path,
) -> Callable[..., TaskRunner]:
    (tmp_path / "cache").mkdir()  # else what fails waits for it

    def make(**changes: Any) -> TaskRunner:
        return TaskRunner(make_experiment(**changes), TrialResources(1.0, 0.0, 2))

    return make


def test_tasks_use_every_slot_where_they_last_as_long_as_a_process_takes_to_start(
    make_runner: Callable[..., TaskRunner], monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = make_runner()
    for seconds, count in ((600.0, 1), (0.0, 2)):
        monkeypatch.setattr(tasks, "_SECONDS_TO_START", seconds)
        assert len(processes(runner, 0.2)) == count


def test_a_process_keeps_the_workbench_of_one_experiment_and_nothing_of_a_task(
    make_runner: Callable[..., TaskRunner],
) -> None:
    for seed in (7, 8):
        found = dict(make_runner(seed=seed).run([scripted()] * 2))
        assert {of_the_bench for _, of_the_bench in found.values()} == {seed}
    params = {"batch_size": 8, "projection_width": 8, "hidden_width": 8}
    arguments = {"params": params, "rows": np.arange(30), "epochs": 1, "seed": 1}
    runner = make_runner()
    weights = [runner.here(Task(train_member, arguments)) for _ in range(2)]
    assert weights[0] == weights[1]


def test_a_task_that_crashes_is_done_again_and_one_that_fails_is_told(
    make_runner: Callable[..., TaskRunner], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "_SECONDS_TO_START", 0.0)
    runner = make_runner()
    wrong = scripted(error=RuntimeError("out of\nmemory"))
    found = dict(runner.run([scripted(mark=str(tmp_path / "mark")), wrong]))
    assert found[0][1] == 7, "in a process with the same workbench"
    assert isinstance(found[1], WorkError)
    assert "out of memory" in str(found[1])
    with pytest.raises(ClusterError, match="bad weights"):
        list(runner.run([scripted(error=ValueError("bad weights"))]))
    # What is of no use any more is not waited for: the second task would take an hour.
    with pytest.raises(WorkError, match="out of memory"):
        in_order(runner.run([wrong, scripted(seconds=3600)]))
    assert len(dict(runner.run([scripted(), scripted()]))) == 2, "in the place of the killed"


def test_a_cancelled_task_gives_back_its_share_though_ray_lost_the_first_request(
    make_runner: Callable[..., TaskRunner], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def lost_once(reference: Any, *, force: bool) -> None:
        asked.append(reference)
        if len(asked) > 1:
            cancel(reference, force=force)

    cancel = ray.cancel
    monkeypatch.setattr(ray, "cancel", lost_once)
    monkeypatch.setattr(tasks, "_SECONDS_TO_START", 0.0)
    failing = scripted(error=RuntimeError("out of memory"))
    with pytest.raises(WorkError, match="out of memory"):
        in_order(make_runner().run([failing, scripted(seconds=3600)]))
    assert len(asked) == 2
    with pytest.raises(TaskCancelledError):
        ray.get(asked[0], timeout=0)


def killed(folder: Path) -> Any:
    """A build whose worker dies as often as a file says, each time after its first step."""

    step = {"role": "text", "total": 2, "seconds": 0.0, "cached": False}

    def build(_: Any) -> Any:
        yield step | {"done": 1}
        left = int((folder / "kills").read_text())
        if left:
            (folder / "kills").write_text(f"{left - 1}")
            os._exit(1)
        yield step | {"done": 2}

    return build


@pytest.mark.usefixtures("ray_cluster")
def test_a_build_is_begun_again_as_often_as_anything_is_retried(
    make_experiment: Callable[..., Experiment], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparation, "_build", killed(tmp_path))
    (tmp_path / "kills").write_text("2")
    *_, last = preparation.build_everywhere(alive(), make_experiment(), [])
    assert last.done == 2, "a step before it may be lost with its worker"
    (tmp_path / "kills").write_text("3")
    with pytest.raises(WorkError, match="WorkerCrashedError"):
        list(preparation.build_everywhere(alive(), make_experiment(), []))


@pytest.mark.usefixtures("own_ray")
def test_a_task_for_which_there_is_not_memory_enough_fails_after_its_retries(
    make_experiment: Callable[..., Experiment], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(_: Any) -> None:
        (tmp_path / str(os.getpid())).touch()
        time.sleep(600)

    monkeypatch.setenv(
        "RAY_memory_usage_threshold", "0.01"
    )  # there is less than Ray wants to keep
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "200")
    with connected(None):
        runner = TaskRunner(make_experiment(), TrialResources(1.0, 0.0, 1))
        ((_, result),) = runner.run([Task(work, {})])
    assert isinstance(result, WorkError)
    assert str(result).startswith("OutOfMemoryError: ")
    assert len(list(tmp_path.glob("[0-9]*"))) <= 3  # one may be killed before its work begins
