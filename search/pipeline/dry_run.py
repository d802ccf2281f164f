"""`--dry-run`: check all that a search needs, and say what it will cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ray
from rich.table import Table

from search.cluster.activations import configs_ahead, describe
from search.cluster.connection import connected
from search.cluster.resources import RETRIES, fetch, refuse_slow_precision, share_out
from search.console.live import clock
from search.errors import ClusterError
from search.pipeline.data import fitted
from search.pipeline.run_record import in_precision, precision_notes
from search.pipeline.rung_zero import is_wanted, readable
from search.study.space import draws
from trainables.trainable import use_assigned_share

_DRAWS = 64  # random trials, to find the extremes among

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from search.cluster.resources import TrialResources
    from search.config.plan import Plan
    from trainables.experiment import Experiment


def dry_run(plan: Plan, experiment: Experiment, console: Console) -> None:
    """Check weights, space and resources, run a step of the extremes, and print the cost.

    Args:
        plan: The search.
        experiment: What it would hold fixed, with data that have been checked.
        console: Where to print.

    Raises:
        ClusterError: If the frozen activations do not fit the disk.
    """
    plan = fitted(plan, experiment.corpus)
    with connected(plan.address) as nodes:
        resources = share_out(nodes, plan.settings.resources)
        refuse_slow_precision(plan.settings.resources, resources)
        described = describe(experiment, configs_ahead(plan), resources)
        for note in described["notes"]:
            console.print(note, style="yellow", highlight=False)
        for note in precision_notes(described):
            console.print(note, highlight=False)
        experiment = in_precision(experiment, described)
        with console.status("one step of the heaviest and of the lightest config"):
            worker = _rehearse.options(num_cpus=resources.cpus, num_gpus=resources.gpus)
            random = draws(plan.space, _DRAWS, plan.settings.seed)
            measured = fetch(worker.remote(experiment, [*configs_ahead(plan), *random]))
    console.print(_table(measured))
    for line in lines(measured, plan, experiment, resources):
        console.print(line, highlight=False)
    if measured["bytes"] > measured["free_bytes"]:
        msg = (
            f"frozen activations of {_size(measured['bytes'])} must fit the disk of {plan.cache},"
            f" got {_size(measured['free_bytes'])} free; give --cache DIR or use --no-cache"
        )
        raise ClusterError(msg)


@ray.remote(max_retries=RETRIES, max_calls=1)  # type: ignore[untyped-decorator]
def _rehearse(experiment: Experiment, configs: list[dict[str, Any]]) -> dict[str, Any]:
    from trainables.tasks.profile import rehearse  # noqa: PLC0415 - keeps torch out of the driver

    return rehearse(experiment, configs, use_assigned_share())


def _table(measured: Mapping[str, Any]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("", "trainable", "batch", "memory MB", "s/step", "full trial"):
        table.add_column(name, justify="right" if name else "left")
    for name in ("heaviest", "lightest"):
        one = measured[name]
        table.add_row(
            name,
            f"{one['trainable']:,}",
            str(one["batch"]),
            f"{one['memory_mb']:,.0f}",
            f"{one['step_seconds']:.3f}",
            clock(one["seconds"]),
        )
    return table


def lines(
    measured: Mapping[str, Any], plan: Plan, experiment: Experiment, resources: TrialResources
) -> list[str]:
    """Say in plain sentences what a search will cost, from what `rehearse` measured."""
    sentences = []
    samples = len(experiment.corpus.samples)
    if measured["files"]:
        sentences.append(
            f"frozen activations of {samples:,} samples: {_size(measured['bytes'])} in"
            f" {measured['files']} files ({_size(measured['free_bytes'])} free), built in about"
            f" {clock(measured['build_seconds'])} per machine where they are missing"
        )
    if is_wanted(plan) and len(read := readable(plan)) > 1:
        sentences.append(f"rung zero: {len(read)} logistic regressions before the first trial")
    rounds = -(-plan.settings.trials // resources.slots)
    low, high = (measured[name]["seconds"] * rounds for name in ("lightest", "heaviest"))
    stopping = "" if plan.settings.tuning.scheduler == "none" else "; ASHA ends most trials sooner"
    sentences.append(
        f"{plan.settings.trials} trials, {resources.slots} at a time: {clock(low)} to"
        f" {clock(high)} if all ran in full{stopping}"
    )
    sentences.append("dry run: nothing was searched")
    return sentences


def _size(count: float) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e8 else f"{count / 1e6:,.1f} MB"
