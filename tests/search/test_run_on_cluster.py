"""Searches that join a cluster of several machines: Ray's own, each a node on this one."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from analysis.run_folder.folder import RunFolder
from search.cluster.activations import build_everywhere
from search.cluster.connection import connected
from search.cluster.resources import TrialResources
from search.cluster.tasks import Task, TaskRunner
from tests.records import read_search
from tests.search.command import FROZEN, Command
from tests.search.test_run_resume import assert_whole

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from trainables.experiment import Experiment

pytestmark = pytest.mark.slow

SMALL = (
    "--model early_fusion --data demo --image-size 32 --no-rung-zero --confirm 0 --scheduler none"
    f" {FROZEN}"
)

RESOURCES = {
    **{name: {"num_cpus": 1} for name in "abc"},
    "gpu": {"num_cpus": 1, "num_gpus": 1},
    "gpus": {"num_cpus": 1, "num_gpus": 2},
}


class Machines:
    """A cluster whose head runs the driver and no trial, as on Kubernetes.

    A machine that the next test wants as well stays: each takes seconds to start.
    """

    def __init__(self, folder: Path) -> None:
        from ray.cluster_utils import Cluster

        self._folder = folder
        self._cluster = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 0, "env_vars": self._cache("head")}
        )
        self._nodes: dict[str, Any] = {}

    @property
    def address(self) -> str:
        return str(self._cluster.address)

    def _cache(self, name: str) -> dict[str, str]:
        return {"NODE_CACHE": str(self._folder / name)}

    def add(self, name: str) -> None:
        variables = self._cache(name)
        self._nodes[name] = self._cluster.add_node(env_vars=variables, **RESOURCES[name])

    def kill(self, name: str) -> None:
        self._cluster.remove_node(self._nodes.pop(name), allow_graceful=False)

    def only(self, *names: str) -> None:
        for name in self._nodes.keys() - names:
            self._cluster.remove_node(self._nodes.pop(name), allow_graceful=True)
        for name in names:
            if name not in self._nodes:
                self.add(name)

    def built(self, name: str) -> int:
        return len(list((self._folder / name).glob("cache/*.json")))

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Halt the trials that run now: few epochs last as long as what comes meanwhile."""
        below = psutil.Process().children(recursive=True)
        trials = [one for one in below if "SentimentTrainable" in " ".join(one.cmdline())]
        assert trials, [" ".join(one.cmdline()) for one in below]
        for trial in trials:
            trial.suspend()
        yield
        for trial in trials:
            with suppress(psutil.NoSuchProcess):  # it died with its machine meanwhile
                trial.resume()

    def shutdown(self) -> None:
        self._cluster.shutdown()


@pytest.fixture(scope="module")
def machines(
    tmp_path_factory: pytest.TempPathFactory,
    own_ray: None,  # noqa: ARG001  # it must be the only one
) -> Iterator[Machines]:
    cluster = Machines(tmp_path_factory.mktemp("machines"))
    yield cluster
    cluster.shutdown()


@pytest.fixture
def command(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setenv("NODE_CACHE", str(tmp_path / "driver"))
    return Command(tmp_path, cache)


def until(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.1)


def test_machines_without_a_gpu_get_no_trials_that_need_one(
    machines: Machines,
    run: Callable[[str], tuple[int, str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NODE_CACHE", str(tmp_path / "driver"))
    machines.only("a", "gpu")
    words = f"{SMALL} --epochs 2 --trials 3 --no-retrain --out run --cache $NODE_CACHE/cache"
    code, out, errors = run(f"{words} --address {machines.address}")
    assert code == 0, errors
    assert "3/3" in out
    folder = RunFolder(tmp_path / "run")
    assert folder.read_trials()["fate"].tolist() == ["finished"] * 3
    hardware = read_search(folder)["hardware"]
    assert (hardware["gpus"], hardware["gpus_per_trial"], hardware["slots"]) == (1, 1, 1)
    assert (machines.built("gpu"), machines.built("a")) == (2, 0)


def test_a_process_computes_on_one_gpu_alone(
    machines: Machines, make_experiment: Callable[..., Experiment]
) -> None:
    def work(_: Any) -> tuple[int, str]:
        return os.getpid(), os.environ["CUDA_VISIBLE_DEVICES"]

    machines.only("a", "gpu")
    with connected(machines.address):
        runner = TaskRunner(make_experiment(), TrialResources(1, 0.5, slots=2))
        one = [result for _, result in runner.run([Task(work, {})] * 2)]
    assert len({process for process, _ in one}) == 1, "one CPU lets them follow one another"
    assert {gpu for _, gpu in one} == {"0"}
    machines.only("a", "gpus")
    with connected(machines.address):
        runner = TaskRunner(make_experiment(), TrialResources(1, 1, slots=2))
        several = [result for _, result in runner.run([Task(work, {})] * 2)]
    assert len({process for process, _ in several}) == 2, "the next task may get the other GPU"


def test_machines_that_share_a_cache_build_it_once(
    machines: Machines, make_experiment: Callable[..., Experiment], tmp_path: Path
) -> None:
    machines.only("a", "b")
    experiment = make_experiment(cache=tmp_path / "shared")
    with connected(machines.address) as nodes:
        steps = list(build_everywhere([n for n in nodes if n.cpus], experiment, [{}]))
    for role in ("text", "image"):
        (built,) = {step.node for step in steps if step.role == role and not step.cached}
        (read,) = {step.node for step in steps if step.role == role and step.cached}
        assert built != read
    assert len(list((tmp_path / "shared").glob("*.safetensors"))) == 2


def test_a_search_outlives_a_machine_and_uses_one_that_joins_late(
    machines: Machines, command: Command
) -> None:
    machines.only("a", "b")

    def change(process: subprocess.Popen[str]) -> None:
        with machines.paused():
            machines.add("c")
            until(lambda: machines.built("c") == 2 or process.poll() is not None)
            machines.kill("a")

    words = f"{SMALL} --epochs 100 --trials 12 --out run --cache $NODE_CACHE/cache"
    code, errors = command.run_until(
        f"{words} --address {machines.address}", "[1/12] trial", change
    )
    assert code == 0, errors
    folder = RunFolder(command.folder / "run")
    assert_whole(folder, 12)
    assert folder.read_trials()["retries"].sum() <= 1, "no more than what ran on the dead one"
    steps = read_search(folder)["activations"]
    assert [step["cached"] for step in steps if step["done"] == step["total"]].count(False) == 4
    assert [machines.built(name) for name in (*"abc", "head")] == [2, 2, 2, 0]
    assert (folder.model / "config.json").exists(), "sent here from where it was assembled"


def test_the_stages_after_the_trials_outlive_a_machine(
    machines: Machines, make_experiment: Callable[..., Experiment]
) -> None:
    import ray

    def work(_: Any) -> str:
        time.sleep(1)
        return str(ray.get_runtime_context().get_node_id())

    machines.only("b", "c")
    with connected(machines.address):
        runner = TaskRunner(make_experiment(), TrialResources(1, 0, slots=2))
        ended: dict[int, str] = {}
        for index, node in runner.run([Task(work, {})] * 12):
            ended[index] = node
            if len(ended) == 2:
                machines.kill("c")
    assert sorted(ended) == list(range(12))
    assert all(isinstance(node, str) for node in ended.values())
