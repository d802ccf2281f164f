"""How trials share a GPU once the first have shown what they take."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from search.cluster.connection import connected
from search.cluster.resources import Node, Slots, TrialResources, share_out
from search.config.plan import make_plan
from search.config.settings import ResourceSettings, parse
from search.pipeline.workflow import write_packing
from search.study.trial import TrialRecord, outcomes
from search.tune import packing
from search.tune.callbacks import Recorder
from search.tune.packing import Packing, pack, pack_after_first, packed, trials_per_gpu
from search.tune.packing import gpu_memory_mb as gpu_memory
from search.tune.tuner import open_search
from spaces.space import Space
from tests.analysis.synthetic import SEARCHED
from tests.records import read_search, write_search
from trainables.hyperparameter import FloatRange, Hyperparameter

if TYPE_CHECKING:
    from pathlib import Path

BIG = Node("big", cpus=16, gpus=2)
SMALL = Node("small", cpus=4, gpus=1)
WITHOUT = Node("without", cpus=64, gpus=0)


@pytest.mark.parametrize(
    ("peak", "memory", "cpus", "trials"),
    [
        # 1,120 x 1.25 + 600 = 2,000 for each
        (1120, 8000, 8, 4),
        (1120, 7999, 8, 3),
        (1120, 2000, 8, 1),
        (1120, 1000, 8, 1),  # it ran, so one fits whatever the margin says
        (1120, 8000, 3.5, 3),  # a CPU for each
        (1120, 8000, 0.5, 1),
        (100, 80_000, 64, 8),  # never more
        (0, 8000, 8, 1),  # nothing known
        (1120, 0, 8, 1),
    ],
)
def test_as_many_share_a_gpu_as_memory_and_cpus_allow(
    peak: float, memory: float, cpus: float, trials: int
) -> None:
    assert trials_per_gpu(peak, memory, cpus) == trials


def record(number: int, peak: float, fate: str | None = "finished") -> TrialRecord:
    return TrialRecord(number, {}, fate=fate, peak_memory_mb=peak)  # type: ignore[arg-type]


def test_the_heaviest_trial_and_the_smallest_gpu_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = {"big": 24_000.0, "small": 8000.0}
    monkeypatch.setattr(packing, "gpu_memory_mb", lambda node: memory[node.name])
    records = {"a": record(0, 900), "b": record(1, 1120), "c": record(2, 3000, fate=None)}
    assert pack([WITHOUT, BIG, SMALL], records) == Packing(1120, 8000, 4)
    assert pack([WITHOUT, BIG], records) == Packing(1120, 24_000, 8)
    assert pack([WITHOUT], records) == Packing(1120, 0, 1)


@pytest.mark.parametrize(
    ("nodes", "trials", "shared"),
    [
        ([BIG], 1, TrialResources(8, 1, slots=2)),
        ([BIG], 3, TrialResources(2, 0.3333, slots=6)),
        ([BIG, SMALL, WITHOUT], 4, TrialResources(1, 0.25, slots=12)),
        ([SMALL], 7, TrialResources(0.5714, 0.1428, slots=7)),
    ],
)
def test_a_trial_gets_its_share_of_gpu_and_cpus(
    nodes: list[Node], trials: int, shared: TrialResources
) -> None:
    asked = ResourceSettings(gpus_per_trial="auto")
    assert packed(nodes, asked, Packing(1, 1, trials)) == shared


def test_the_limit_of_the_user_holds() -> None:
    asked = ResourceSettings(gpus_per_trial="auto", max_concurrent=3)
    assert packed([BIG], asked, Packing(1, 1, 4)).slots == 3


def test_the_packing_is_said_in_words() -> None:
    assert Packing(1120, 8151, 4).words == (
        "a trial took 1,120 of 8,151 MB: 4 trials share a GPU from here on"
    )
    assert Packing(7000, 8151, 1).words == (
        "a trial took 7,000 of 8,151 MB: each keeps a GPU of its own"
    )


def test_a_machine_is_asked_what_memory_its_gpu_has(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    ask = packing._gpu_memory_mb._function
    gpu = SimpleNamespace(total_memory=8_151_000_000)
    monkeypatch.setattr(torch.cuda, "get_device_properties", {0: gpu}.get)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert ask() == 8151
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert ask() == 0


def make_trainable() -> type:
    import ray
    from ray import tune

    class Toy(tune.Trainable):  # type: ignore[misc]  # local, so that Ray pickles it by value
        def setup(self, config: dict[str, Any]) -> None:
            self.reset_config(config)

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            self.rate = new_config["rate"]
            return True

        def step(self) -> dict[str, Any]:
            time.sleep(0.3)
            share = ray.get_runtime_context().get_assigned_resources()
            report = {"epoch": 1, "diverged": "", "done": True, "val_weighted_f1": self.rate}
            return report | {"peak_memory_mb": 1120.0, "gpu": share["GPU"], "cpu": share["CPU"]}

    return Toy


@pytest.mark.slow
@pytest.mark.usefixtures("own_ray")
def test_the_first_trial_has_a_whole_gpu_and_the_others_share_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from ray.cluster_utils import Cluster

    monkeypatch.setattr(packing, "gpu_memory_mb", lambda _: 8000.0)
    words = "--model early_fusion --data demo --epochs 1 --trials 9 --gpus-per-trial auto"
    plan = replace(
        make_plan(parse([*words.split(), "--out", str(tmp_path / "run")])),
        space=Space([Hyperparameter("rate", 0.5, FloatRange(0, 1))]),
        hand_tuned={"rate": 0.5},
    )
    plan.folder.path.mkdir()
    write_search(plan.folder, SEARCHED | {"hardware": {}})
    # Ray is told of a GPU that is not there: shares are counted as if it were.
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 4, "num_gpus": 1})
    try:
        with connected(cluster.address) as nodes:
            slots = Slots(share_out(nodes, plan.settings.resources), most=None)
            search = open_search(plan, math.inf, slots)
            recorder = Recorder(plan.folder, search.records, "max", search.stopper)
            run = partial(search.run, make_trainable(), callbacks=[recorder])
            shared = pack_after_first(search, run, slots, print)
            assert shared is not None
            write_packing(plan, slots, shared)
            assert outcomes(search.records) == 1
            assert slots.resources == TrialResources(1, 0.25, slots=4)
            run(slots.resources)
            recorder.finish()
            assert gpu_memory(nodes[0]) == 0, "there is none"
    finally:
        cluster.shutdown()
    shares = plan.folder.read_history().set_index("trial")[["gpu", "cpu"]]
    assert shares.index[0] == 0, "it ran alone"
    assert sorted(shares.index) == list(range(9))
    assert shares.to_numpy().tolist() == [[1, 4]] + [[0.25, 1]] * 8
    record = read_search(plan.folder)
    assert record["packing"] == {
        "peak_memory_mb": 1120,
        "gpu_memory_mb": 8000,
        "trials_per_gpu": 4,
    }
    assert record["hardware"]["slots"] == 4
    assert "4 trials share a GPU from here on" in capsys.readouterr().out
