"""Machines that come and go while a search runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from search.cluster import resources as capacity
from search.cluster.resources import Node, Slots, TrialResources

if TYPE_CHECKING:
    import pytest

    from tests.search.conftest import FakeRay

ONE, TWO = Node("one", cpus=2, gpus=0), Node("two", cpus=4, gpus=1)


class Cluster:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, *nodes: Node) -> None:
        self.now, self.looks = 0.0, 0
        self.nodes = list(nodes)
        monkeypatch.setattr(capacity, "alive", self.look)
        monkeypatch.setattr(capacity.time, "monotonic", lambda: self.now)

    def look(self) -> list[Node]:
        self.looks += 1
        return self.nodes


def test_slots_follow_the_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(monkeypatch, ONE)
    slots = Slots(TrialResources(1, 0, slots=2), most=None)
    assert slots() == 2
    cluster.nodes.append(TWO)
    cluster.now = 3
    assert slots() == 6
    del cluster.nodes[0]
    cluster.now = 6
    assert slots() == 4


def test_a_cluster_is_not_looked_at_for_every_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(monkeypatch, ONE)
    slots = Slots(TrialResources(1, 0, slots=2), most=None)
    for cluster.now in (0.0, 1.0, 1.9, 2.1, 2.2, 4.0):
        slots()
    assert cluster.looks == 1


def test_machines_without_gpus_have_no_slot_for_trials_that_need_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = Cluster(monkeypatch, ONE, TWO)
    slots = Slots(TrialResources(1, 0.5, slots=2), most=None)
    cluster.now = 3
    assert slots() == 2
    cluster.nodes, cluster.now = [ONE], 6
    assert slots() == 1, "one trial waits for the next machine that has a GPU"


def test_the_limit_of_the_user_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(monkeypatch, ONE, TWO)
    slots = Slots(TrialResources(1, 0, slots=2), most=3)
    cluster.now = 3
    assert slots() == 3
    cluster.nodes, cluster.now = [ONE], 6
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
