"""`--gpus-per-trial auto`: as many trials share a GPU as the first ones show room for."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from search.cluster.resources import RETRIES, alive, fetch, share_out
from search.study.trial import OUTCOMES, outcomes
from trainables.shares import CONTEXT_MB

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from search.cluster.resources import Node, Slots, TrialResources
    from search.config.settings import ResourceSettings
    from search.study.trial import Records
    from search.tune.tuner import Search

MARGIN = 1.25
"""How much more memory a later trial may need than any of the first."""

MOST = 8
"""Most trials on one GPU: beyond, they only wait for each other."""


@dataclass(frozen=True)
class Packing:
    """How trials share a GPU, and why.

    Attributes:
        peak_memory_mb: Most that a trial took so far.
        gpu_memory_mb: What the smallest GPU has.
        trials_per_gpu: How many share one.
    """

    peak_memory_mb: float
    gpu_memory_mb: float
    trials_per_gpu: int

    @property
    def words(self) -> str:
        """The packing as a sentence for people."""
        if not self.gpu_memory_mb:
            return "no GPU says what memory it has: each trial keeps one of its own"
        took = f"a trial took {self.peak_memory_mb:,.0f} of {self.gpu_memory_mb:,.0f} MB"
        if self.trials_per_gpu == 1:
            return f"{took}: each keeps a GPU of its own"
        return f"{took}: {self.trials_per_gpu} trials share a GPU from here on"


def trials_per_gpu(peak_memory_mb: float, gpu_memory_mb: float, cpus_per_gpu: float) -> int:
    """Compute how many trials share a GPU.

    Args:
        peak_memory_mb: Most that a trial took so far, as PyTorch counts; 0 if unknown.
        gpu_memory_mb: What the GPU has; 0 if unknown.
        cpus_per_gpu: CPUs beside each GPU: every trial needs one.

    Returns:
        In [1, `MOST`]; 1 if the memory is unknown.
    """
    if peak_memory_mb <= 0 or gpu_memory_mb <= 0:
        return 1
    by_memory = math.floor(gpu_memory_mb / (peak_memory_mb * MARGIN + CONTEXT_MB))
    return max(1, min(by_memory, math.floor(cpus_per_gpu), MOST))


def pack(nodes: Sequence[Node], records: Records) -> Packing:
    """Compute how trials are to share GPUs, by the memory that they took and that there is."""
    ended = [record for record in records.values() if record.fate in OUTCOMES]
    peak = max((record.peak_memory_mb for record in ended), default=0.0)
    able = [node for node in nodes if node.gpus >= 1]
    memory = min((gpu_memory_mb(node) for node in able), default=0.0)
    cpus = min((node.cpus / node.gpus for node in able), default=0.0)
    return Packing(peak, memory, trials_per_gpu(peak, memory, cpus))


def packed(nodes: Sequence[Node], asked: ResourceSettings, packing: Packing) -> TrialResources:
    """Compute what one trial gets from now on, on machines shared as a packing says."""
    # Ray counts GPUs in ten-thousandths.
    share = math.floor(1e4 / packing.trials_per_gpu) / 1e4
    return share_out(nodes, replace(asked, gpus_per_trial=share))


def pack_after_first(
    search: Search,
    run: Callable[..., None],
    slots: Slots,
    say: Callable[[str], None],
) -> Packing | None:
    """Run the first trials with a GPU each, and give the others the share that those needed.

    Args:
        search: The search; where trials of it have ended, they are the first.
        run: Runs `most` trials with the given resources.
        slots: Its share is set.
        say: Prints a line.

    Returns:
        How trials share a GPU from here on; None where nothing is shared.
    """
    if not slots.resources.gpus:
        return None
    if not outcomes(search.records):
        run(slots.resources, most=slots.resources.slots)
    if search.stopper.reason:
        return None
    nodes = alive()
    packing = pack(nodes, search.records)
    slots.share(packed(nodes, search.plan.settings.resources, packing))
    say(packing.words)
    return packing


def gpu_memory_mb(node: Node) -> float:
    """Return the memory of the first GPU of a machine, in MB; 0 where PyTorch finds none."""
    there = NodeAffinitySchedulingStrategy(node.name, soft=False)
    return float(fetch(_gpu_memory_mb.options(scheduling_strategy=there).remote()))


@ray.remote(num_cpus=0, num_gpus=1, max_retries=RETRIES)  # type: ignore[untyped-decorator]
def _gpu_memory_mb() -> float:
    import torch  # noqa: PLC0415 - torch stays in Ray's workers

    if not torch.cuda.is_available():
        return 0.0
    return torch.cuda.get_device_properties(0).total_memory / 1e6
