"""Retrain the chosen config on all labelled samples and predict the rest, in a worker of Ray."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from search.cluster import fetch
from trainables.data.sample import Sentiment
from trainables.trainable import use_assigned_cpus

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from analysis.results import RunFolder
    from trainables.experiment import Experiment


def retrain(
    experiment: Experiment,
    params: Mapping[str, Any],
    epochs: int,
    run_folder: RunFolder,
    resources: Mapping[str, float],
) -> dict[str, Any]:
    """Retrain a config, and write `model/`, `predictions.csv` and `probabilities.csv`.

    Args:
        experiment: What the search held fixed.
        params: The chosen hyperparameters, by name.
        epochs: How many epochs to train.
        run_folder: Where the results go.
        resources: `cpu` and `gpu` of the worker.

    Returns:
        `epochs`, `seconds`, `train_loss` and `model_parameters`.
    """
    # The model is written where the run folder is, so this machine is preferred to others.
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    task = _train.options(
        num_cpus=resources.get("cpu", 1),
        num_gpus=resources.get("gpu", 0),
        scheduling_strategy=here,
    )
    reference = task.remote(experiment, dict(params), epochs, run_folder.model.absolute())
    result: dict[str, Any] = fetch(reference)
    guids = [sample.guid for sample in experiment.corpus.unlabelled]
    run_folder.write_predictions(guids, [Sentiment(c).tag for c in result.pop("classes")])
    run_folder.write_probabilities(guids, result.pop("probabilities"))
    return result


@ray.remote(max_retries=1)  # type: ignore[untyped-decorator]
def _train(
    experiment: Experiment, params: dict[str, Any], epochs: int, folder: Path
) -> dict[str, Any]:
    from trainables.final import train_final  # noqa: PLC0415 - keeps torch out of the driver

    use_assigned_cpus()
    return train_final(experiment, params, epochs, folder)
