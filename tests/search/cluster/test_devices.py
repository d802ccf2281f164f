"""Where work on the cluster computes, and for how long it holds a GPU, without Ray."""

from __future__ import annotations

from typing import Any

import pytest

from search.cluster import activations, tasks
from search.cluster.resources import Node, TrialResources
from search.pipeline import dry_run
from trainables import worker


@pytest.mark.parametrize("on_gpu", [True, False])
def test_a_task_computes_on_its_gpu_unless_it_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, on_gpu: bool
) -> None:
    asked: list[dict[str, bool]] = []

    def share(**wanted: bool) -> str:
        asked.append(wanted)
        return "there"

    monkeypatch.setattr(tasks, "use_assigned_share", share)
    monkeypatch.setattr(worker, "kept_workbench", lambda identity, device, _: (identity, device))

    def work(bench: Any, **arguments: Any) -> Any:
        return bench, arguments

    task = tasks.Task(work, {"seed": 1}, on_gpu=on_gpu)
    assert tasks._run(task, ("experiment", ["held"])) == (("experiment", "there"), {"seed": 1})
    assert asked == [{"gpu": on_gpu}]
    assert tasks.Task(work, {}).on_gpu


@pytest.mark.parametrize(
    ("function", "calls"),
    [
        (activations._on(Node("a" * 56, cpus=2, gpus=1)), 1),
        (activations._on(Node("a" * 56, cpus=2, gpus=0)), 0),  # kept, as it has loaded the towers
        (activations._on_share(TrialResources(1, 0.5, 2)), 1),
        (activations._on_share(TrialResources(1, 0, 2)), 0),
        (dry_run._rehearse, 1),
    ],
)
def test_work_on_a_gpu_before_the_trials_is_the_last_of_its_process(
    function: Any, calls: int
) -> None:
    # What a process has taken of a GPU it holds until it ends.
    assert function._default_options["max_calls"] == calls
