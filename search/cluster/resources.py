"""A cluster's resources, the share of a trial, and how results of its work are fetched."""

from __future__ import annotations

import math
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import ray
from ray.autoscaler.sdk import request_resources
from ray.exceptions import RayError

from search.errors import ClusterError, WorkError, cause_of, is_passing, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from search.config.settings import ResourceSettings


RETRIES = 2
"""How often a trial or task is retried whose worker was killed: that may be bad luck twice."""


@dataclass(frozen=True)
class Node:
    """One machine of the cluster: Ray's id of it, and the logical CPUs and GPUs that it offers."""

    name: str
    cpus: float
    gpus: float


@dataclass(frozen=True)
class TrialResources:
    """What one trial gets.

    Attributes:
        cpus: Logical CPUs, > 0; a share of one when GPUs are shared.
        gpus: GPUs, >= 0.
        slots: How many trials run at a time, >= 1.
    """

    cpus: float
    gpus: float
    slots: int

    @property
    def request(self) -> dict[str, float]:
        """The request, by Ray's names of resources."""
        return {"cpu": self.cpus, "gpu": self.gpus} if self.gpus else {"cpu": self.cpus}


def alive() -> list[Node]:
    """Return the machines of the cluster that are alive now."""
    return [
        Node(node["NodeID"], resources.get("CPU", 0.0), resources.get("GPU", 0.0))
        for node in ray.nodes()
        if node["Alive"] and (resources := node["Resources"])
    ]


def share_out(nodes: Sequence[Node], asked: ResourceSettings) -> TrialResources:
    """Compute what a trial gets and how many run at a time.

    Args:
        nodes: The machines.
        asked: What the user asks for; None where there is a default.

    Returns:
        The share of one trial.

    Raises:
        ClusterError: If no machine can ever run one trial.
    """
    total_gpus = sum(node.gpus for node in nodes)
    gpus = asked.gpus_per_trial
    if gpus is None or isinstance(gpus, str):  # auto: the first trials show what they need
        gpus = 1.0 if total_gpus else 0.0
    cpus = asked.cpus_per_trial
    if cpus is None:
        cpus = _cpu_share(nodes, gpus) if gpus and total_gpus else 1.0
    slots = sum(fitting(node, cpus, gpus) for node in nodes)
    if not slots:
        there = ", ".join(f"{node.cpus:g} CPUs and {node.gpus:g} GPUs" for node in nodes)
        msg = (
            f"one trial must fit one machine, got --cpus-per-trial {cpus:g} and"
            f" --gpus-per-trial {gpus:g} where there are {there}"
        )
        raise ClusterError(msg)
    return TrialResources(cpus, gpus, min(slots, asked.max_concurrent or slots))


def refuse_slow_precision(asked: ResourceSettings, trial: TrialResources) -> None:
    """Refuse float16 on CPUs, none of which trains in it faster than in float32.

    Raises:
        ClusterError: If trials have no GPU.
    """
    if asked.precision == "float16" and not trial.gpus:
        msg = (
            "--precision must be auto, float32 or bfloat16 where trials have no GPU, got float16;"
            " auto measures which is faster"
        )
        raise ClusterError(msg)


def _cpu_share(nodes: Sequence[Node], gpus: float) -> float:
    # Evenly among the trials of the machine that has the fewest CPUs per trial.
    share = min(node.cpus / max(1, _places(node.gpus, gpus)) for node in nodes if node.gpus)
    # Ray takes whole CPUs above one, and counts in ten-thousandths below.
    return float(math.floor(share)) if share >= 1 else math.floor(share * 1e4) / 1e4


def fitting(node: Node, cpus: float, gpus: float) -> int:
    """Count the trials of so many CPUs (> 0) and GPUs (>= 0) that fit a machine."""
    by_cpu = math.floor(node.cpus / cpus + 1e-9)
    return min(by_cpu, _places(node.gpus, gpus)) if gpus else by_cpu


def _places(there: float, gpus: float) -> int:
    """Count the trials that fit some GPUs: one that shares a GPU has its share on that one."""
    if gpus >= 1:
        return math.floor(there / gpus + 1e-9)
    whole, rest = divmod(there, 1)
    return int(whole) * math.floor(1 / gpus + 1e-9) + math.floor(rest / gpus + 1e-9)


def fetch(reference: Any) -> Any:
    """Wait for the result of work on the cluster.

    Returns:
        The result.

    Raises:
        ClusterError: If the work raised a `ValueError` for wrong input, such as bad weights.
        OSError: If a disk was full there, or a file out of reach that had been there.
        WorkError: If it failed otherwise.
    """
    try:
        return ray.get(reference)
    except RayError as error:
        cause = cause_of(error)
        if isinstance(cause, ValueError):  # what trainables raise for bad input
            raise ClusterError(str(cause)) from error
        if isinstance(cause, OSError) and is_passing(cause):
            raise cause from error
        raise WorkError(one_line(error)) from error


_SECONDS_BETWEEN_LOOKS = 2.0


class Slots:
    """How many trials can run at a time, as machines come and go.

    Args:
        resources: What one trial gets, and how many ran at a time at first.
        most: The user's own limit; None for as many as fit.
    """

    def __init__(self, resources: TrialResources, most: int | None) -> None:
        self._share, self._most = resources, most
        self._count, self._looked = resources.slots, time.monotonic()

    @property
    def resources(self) -> TrialResources:
        """What one trial gets, and how many run at a time now."""
        return replace(self._share, slots=self())

    def share(self, resources: TrialResources) -> None:
        """Give trials another share from now on."""
        self._share, self._count = resources, resources.slots

    def __call__(self) -> int:
        """Count the slots, at least 1: without machines a trial waits; asks every few seconds."""
        if time.monotonic() - self._looked > _SECONDS_BETWEEN_LOOKS:
            count = sum(fitting(node, self._share.cpus, self._share.gpus) for node in alive())
            self._count = max(1, min(count, self._most or count))
            self._looked = time.monotonic()
        return self._count


@contextmanager
def asking_for(resources: TrialResources, trials: int) -> Iterator[None]:
    """Ask a cluster that grows on demand for room for so many trials; any other ignores it."""
    names = {"cpu": "CPU", "gpu": "GPU"}
    bundle = {names[name]: count for name, count in resources.request.items()}
    request_resources(bundles=[bundle] * trials)
    try:
        yield
    finally:
        request_resources(bundles=[])
