"""Before the first trial, every node of the cluster builds its frozen activations.

Torch stays in Ray's workers: what they send to the driver are plain values. A process without a
GPU is kept for the work that follows, as it has loaded libraries and towers; with a GPU, a build
has one of its own, since what it holds there is free only when it ends.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import (
    NodeDiedError,
    OutOfMemoryError,
    TaskUnschedulableError,
    WorkerCrashedError,
)
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from analysis.run_folder.search_record import ActivationBuild
from search.cluster.resources import RETRIES, fetch
from search.errors import WorkError
from search.study.combinations import combinations
from search.study.cut_coverage import meet_every_cut
from trainables.reach import await_files
from trainables.trainable import use_assigned_share

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from search.cluster.resources import Node, TrialResources
    from search.config.plan import Plan
    from trainables.experiment import Experiment

_LOST = (NodeDiedError, TaskUnschedulableError)
_KILLED = (WorkerCrashedError, OutOfMemoryError)


def configs_ahead(plan: Plan) -> list[dict[str, Any]]:
    """Return configs that together need all the frozen activations of a search.

    Returns:
        The hand-tuned config, then one for every way in which a trial may cut the backbones, and
        for all that rung zero reads.
    """
    modality = plan.settings.modality
    every = meet_every_cut(plan.variant, plan.space, modality)
    read = combinations(plan.variant, plan.space, modality, plan.hand_tuned)
    frozen = [asdict(plan.variant.frozen(one.params)) for one in read]
    return [dict(plan.hand_tuned), *every, *(frozen if plan.settings.tuning.rung_zero else [])]


def build_everywhere(
    nodes: Sequence[Node], experiment: Experiment, params: Sequence[Mapping[str, Any]]
) -> Iterator[ActivationBuild]:
    """Build the frozen activations that trials will read, on every node at once.

    Args:
        nodes: The machines.
        experiment: What the search holds fixed.
        params: Hyperparameters that cover the cuts of the search.

    Yields:
        Progress, as it comes.

    Raises:
        WorkError: If a build fails but for the loss of its machine, or the last machine is lost.
    """
    held = ray.put((experiment, list(params)))
    streams = {_on(node).remote(held): index for index, node in enumerate(nodes)}
    kills = Counter[int]()
    while streams:
        (stream,), _ = ray.wait(list(streams), num_returns=1)
        try:
            yield ActivationBuild(node=streams[stream], **fetch(next(stream)))
        except StopIteration:
            del streams[stream]
        except WorkError as error:
            index = streams.pop(stream)
            kills[index] += isinstance(error.__cause__, _KILLED)
            if isinstance(error.__cause__, _KILLED) and kills[index] <= RETRIES:
                streams[_on(nodes[index]).remote(held)] = index
            elif not isinstance(error.__cause__, _LOST) or not streams:
                raise
            # else trials do without the machine, too


def _on(node: Node) -> Any:
    remote = ray.remote(
        num_cpus=max(1, math.floor(node.cpus)),
        num_gpus=min(1.0, node.gpus),
        num_returns="streaming",
        max_retries=0,  # Ray takes what a stream yields to be the same each time
        max_calls=int(node.gpus > 0),  # a process holds memory of a GPU until it ends
        scheduling_strategy=NodeAffinitySchedulingStrategy(node.name, soft=False),
    )
    return remote(_build)


def _build(held: tuple[Experiment, list[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    from trainables.worker import build_activations  # noqa: PLC0415  # torch stays in workers

    device = use_assigned_share()
    while True:
        try:
            for step in build_activations(*held, device):
                yield step._asdict()  # its own type would bring torch into the driver
        except Exception as error:  # noqa: BLE001 - raised again when no file is missing
            await_files(held[0], error)
        else:
            return


def describe(
    experiment: Experiment, params: Sequence[Mapping[str, Any]], resources: TrialResources
) -> dict[str, Any]:
    """Describe an experiment as `trainables.worker.describe`, with the share of a trial."""
    remote = _on_share(resources).remote(experiment, list(params))
    description: dict[str, Any] = fetch(remote)
    return description


def _on_share(resources: TrialResources) -> Any:
    remote = ray.remote(
        num_cpus=resources.cpus,
        num_gpus=resources.gpus,
        max_retries=RETRIES,
        max_calls=int(resources.gpus > 0),  # as above
    )
    return remote(_describe)


def _describe(experiment: Experiment, params: list[dict[str, Any]]) -> dict[str, Any]:
    from trainables.worker import describe as describe_here  # noqa: PLC0415  # as above

    device = use_assigned_share()
    while True:
        try:
            return dict(describe_here(experiment, params, device))
        except Exception as error:  # noqa: BLE001 - as above
            await_files(experiment, error)
