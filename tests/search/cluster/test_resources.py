"""What a trial gets of a cluster, and how many fit while machines come and go."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

import pytest
import ray
from ray.exceptions import RayTaskError

from search.cluster import resources
from search.cluster.resources import (
    ClusterError,
    Node,
    Slots,
    TrialResources,
    WorkError,
    fetch,
    refuse_slow_precision,
    share_out,
)
from search.config.settings import ResourceSettings

if TYPE_CHECKING:
    from tests.search.conftest import FakeRay

ONE = [Node("a", cpus=8, gpus=0)]
GPU = [Node("a", cpus=16, gpus=1)]
FOUR = [Node("a", cpus=16, gpus=4)]
PAIR = [Node("a", cpus=8, gpus=2)]
TWO = [Node("a", cpus=8, gpus=2), Node("b", cpus=4, gpus=0)]


@pytest.mark.parametrize(
    ("nodes", "asked", "shared"),
    [
        (ONE, ResourceSettings(), TrialResources(1, 0, slots=8)),
        (ONE, ResourceSettings(cpus_per_trial=3), TrialResources(3, 0, slots=2)),
        (ONE, ResourceSettings(max_concurrent=3), TrialResources(1, 0, slots=3)),
        (ONE, ResourceSettings(max_concurrent=99), TrialResources(1, 0, slots=8)),
        (GPU, ResourceSettings(), TrialResources(16, 1, slots=1)),
        (GPU, ResourceSettings(gpus_per_trial=0.25), TrialResources(4, 0.25, slots=4)),
        (GPU, ResourceSettings(gpus_per_trial=0.3), TrialResources(5, 0.3, slots=3)),
        (GPU, ResourceSettings(gpus_per_trial=0), TrialResources(1, 0, slots=16)),
        (GPU, ResourceSettings(gpus_per_trial=0.05), TrialResources(0.8, 0.05, slots=20)),
        # A share lies on one GPU: of what is left beside it, no trial is made up.
        (FOUR, ResourceSettings(gpus_per_trial=0.6), TrialResources(4, 0.6, slots=4)),
        (FOUR, ResourceSettings(gpus_per_trial=2), TrialResources(8, 2, slots=2)),
        (PAIR, ResourceSettings(gpus_per_trial=0.4), TrialResources(2, 0.4, slots=4)),
        (PAIR, ResourceSettings(gpus_per_trial=0.3333), TrialResources(1, 0.3333, slots=6)),
        (TWO, ResourceSettings(), TrialResources(4, 1, slots=2)),
        (TWO, ResourceSettings(gpus_per_trial=0), TrialResources(1, 0, slots=12)),
    ],
)
def test_a_trial_gets_its_share(
    nodes: list[Node], asked: ResourceSettings, shared: TrialResources
) -> None:
    assert share_out(nodes, asked) == shared


@pytest.mark.parametrize(
    ("nodes", "asked", "there"),
    [
        (
            ONE,
            ResourceSettings(gpus_per_trial=1),
            r"--gpus-per-trial 1 where .* and 0 GPUs",
        ),
        (ONE, ResourceSettings(cpus_per_trial=9), r"--cpus-per-trial 9 and .* 8 CPUs and 0 GPUs"),
        (TWO, ResourceSettings(cpus_per_trial=12, gpus_per_trial=0), r"8 CPUs.*, 4 CPUs"),
        (TWO, ResourceSettings(gpus_per_trial=3), r"one trial must fit one machine"),
    ],
)
def test_what_can_never_run_is_refused_with_what_there_is(
    nodes: list[Node], asked: ResourceSettings, there: str
) -> None:
    with pytest.raises(ClusterError, match=there):
        share_out(nodes, asked)


def test_a_request_names_gpus_only_where_there_are_some() -> None:
    assert TrialResources(1, 0, slots=1).request == {"cpu": 1}
    assert TrialResources(0.5, 0.25, slots=1).request == {"cpu": 0.5, "gpu": 0.25}


def raising(error: Exception) -> Any:
    def refuse(*_: Any, **__: Any) -> None:
        raise error

    return refuse


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        (ValueError("bad weights"), ClusterError),
        (OSError(errno.ENOSPC, "No space left on device", "model"), OSError),
        (OSError(errno.EACCES, "Permission denied", "model"), WorkError),
        (KeyError("k"), WorkError),
    ],
)
def test_work_that_fails_is_bad_input_a_full_disk_or_told_as_it_is(
    cause: Exception, kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = RayTaskError("work", "its traceback", cause).as_instanceof_cause()
    monkeypatch.setattr(ray, "get", raising(failed))
    with pytest.raises(kind) as error:
        fetch("a promise")
    assert type(error.value) is kind


SMALL, LARGE = Node("one", cpus=2, gpus=0), Node("two", cpus=4, gpus=1)


def test_float16_is_refused_where_trials_have_no_gpu() -> None:
    message = (
        r"^--precision must be auto, float32 or bfloat16 where trials have no GPU, got float16;"
        r" auto measures which is faster$"
    )
    with pytest.raises(ClusterError, match=message):
        refuse_slow_precision(ResourceSettings(precision="float16"), TrialResources(1, 0, 2))
    refuse_slow_precision(ResourceSettings(precision="float16"), TrialResources(1, 0.5, 2))
    refuse_slow_precision(ResourceSettings(precision="bfloat16"), TrialResources(1, 0, 2))


class Cluster:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, *nodes: Node) -> None:
        self.now, self.looks = 0.0, 0
        self.nodes = list(nodes)
        monkeypatch.setattr(resources, "alive", self.look)
        monkeypatch.setattr(resources.time, "monotonic", lambda: self.now)

    def look(self) -> list[Node]:
        self.looks += 1
        return self.nodes


def test_slots_follow_the_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(monkeypatch, SMALL)
    slots = Slots(TrialResources(1, 0, slots=2), most=None)
    assert slots() == 2
    cluster.nodes.append(LARGE)
    cluster.now = 3
    assert slots() == 6
    del cluster.nodes[0]
    cluster.now = 6
    assert slots() == 4


def test_a_cluster_is_not_looked_at_for_every_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(monkeypatch, SMALL)
    slots = Slots(TrialResources(1, 0, slots=2), most=None)
    for cluster.now in (0.0, 1.0, 1.9, 2.1, 2.2, 4.0):
        slots()
    assert cluster.looks == 1


def test_machines_without_gpus_have_no_slot_for_trials_that_need_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = Cluster(monkeypatch, SMALL, LARGE)
    slots = Slots(TrialResources(1, 0.5, slots=2), most=None)
    cluster.now = 3
    assert slots() == 2
    cluster.nodes, cluster.now = [SMALL], 6
    assert slots() == 1, "one trial waits for the next machine that has a GPU"


def test_the_limit_of_the_user_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(monkeypatch, SMALL, LARGE)
    slots = Slots(TrialResources(1, 0, slots=2), most=3)
    cluster.now = 3
    assert slots() == 3
    cluster.nodes, cluster.now = [SMALL], 6
    assert slots() == 2


def test_no_trial_is_drawn_before_it_can_run(fake_ray: FakeRay) -> None:
    fake_ray.slots = 2
    first, second = fake_ray.start(), fake_ray.start()
    assert None not in (first.config, second.config)
    assert fake_ray.start().config is None
    assert len(fake_ray.study.trials) == 2
    fake_ray.report(first, 1, 0.5, done=True)
    assert fake_ray.start().config is not None
    fake_ray.slots = 4
    assert fake_ray.start().config is not None
