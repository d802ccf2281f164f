"""Workers of a real Ray: every slot works, crashes are survived or told."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import ray

from search.cluster import activations as preparation
from search.cluster import tasks as crew_module
from search.cluster.connection import connected
from search.cluster.resources import TrialResources, alive
from search.cluster.tasks import Crew, Job, in_order
from search.errors import ClusterError, WorkError

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainables.experiment import Experiment

pytestmark = pytest.mark.slow


def scripted() -> Any:
    """A worker whose work is scripted by its arguments; made here, so that it needs no import."""

    def crash_once(arguments: Any) -> None:
        if "mark" in arguments and not Path(arguments["mark"]).exists():
            Path(arguments["mark"]).touch()
            os._exit(1)

    class Scripted:
        def do(self, experiment: Any, method: str, arguments: Any) -> Any:
            assert experiment.seed == 7
            assert method == "work"
            time.sleep(arguments.get("seconds", 0.0))
            crash_once(arguments)
            if "error" in arguments:
                raise arguments["error"]
            return os.getpid()

    return ray.remote(Scripted)


def killed(folder: Path) -> Any:
    """A build whose worker dies as often as a file says, each time after its first step."""

    def build(_: Any) -> Any:
        yield "text", 1, 2, 0.0, False
        left = int((folder / "kills").read_text())
        if left:
            (folder / "kills").write_text(f"{left - 1}")
            os._exit(1)
        yield "text", 2, 2, 0.0, False

    return ray.remote(num_returns="streaming", max_retries=0)(build)


def test_jobs_use_every_slot_survive_a_crash_and_tell_what_failed(
    make_experiment: Callable[..., Experiment], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connected(None):
        with monkeypatch.context() as patch:
            patch.setattr(crew_module, "_Remote", scripted())
            with Crew(make_experiment(), TrialResources(1.0, 0.0, 2)) as crew:
                jobs = [Job("work", {"seconds": 0.2}) for _ in range(6)]
                results = dict(crew.run(jobs))
                assert sorted(results) == list(range(6))
                assert len(set(results.values())) == 2
                # More than one worker may be made anew, and each job may lose its own.
                marks = [Job("work", {"mark": str(tmp_path / f"{n}")}) for n in range(8)]
                assert all(isinstance(pid, int) for pid in dict(crew.run(marks)).values())
                crash = Job("work", {"mark": str(tmp_path / "mark")})
                wrong = Job("work", {"error": RuntimeError("out of\nmemory")})
                found = dict(crew.run([crash, wrong]))
                assert isinstance(found[0], int)
                assert isinstance(found[1], WorkError)
                assert "out of memory" in str(found[1])
                with pytest.raises(ClusterError, match="bad weights"):
                    list(crew.run([Job("work", {"error": ValueError("bad weights")})]))
                # What is of no use any more is not waited for: the second job would take an hour.
                jobs = [wrong, Job("work", {"seconds": 3600})]
                with pytest.raises(WorkError, match="out of memory"):
                    in_order(crew.run(jobs))
                assert len(dict(crew.run([Job("work", {}), Job("work", {})]))) == 2
        with monkeypatch.context() as patch:
            patch.setattr(preparation, "_build", killed(tmp_path))
            nodes = alive()
            for kills in (2, 3):
                (tmp_path / "kills").write_text(f"{kills}")
                steps = preparation.build_everywhere(nodes, make_experiment(), [])
                if kills == 2:
                    *_, last = steps  # a step may be lost with its worker
                    assert last.done == 2
                else:
                    with pytest.raises(WorkError, match="WorkerCrashedError"):
                        list(steps)
        with Crew(make_experiment(), TrialResources(1.0, 0.0, 1)) as crew:
            rows = np.arange(30)
            params = {"batch_size": 8, "projection_width": 8, "hidden_width": 8}
            arguments = {"params": params, "rows": rows, "epochs": 1, "seed": 1}
            weights = [crew.here(Job("train_member", arguments)) for _ in range(2)]
            assert weights[0] == weights[1]  # nothing is kept from job to job
