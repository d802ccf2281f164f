"""Run given configs the plain way with Ray Tune; `trials_per_hour` starts it as a process."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import ray
from ray import tune

from tests.benchmarks.plain import train_plain
from tests.benchmarks.searches import make_experiment


def main() -> None:
    """Run the command line: what comes after `--` is that of the search to copy."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--configs", type=Path, required=True, help="JSON list of configs")
    parser.add_argument("--result", type=Path, required=True, help="where the JSON result goes")
    parser.add_argument("--folder", type=Path, required=True, help="for Ray's own files")
    parser.add_argument("--slots", type=int, required=True, help="trials at a time")
    parser.add_argument("--cpus", type=int, required=True, help="threads of a trial")
    parser.add_argument("--workers", type=int, required=True, help="processes of a DataLoader")
    parser.add_argument("search", nargs="+", help="arguments of search.run")
    options = parser.parse_args()
    experiment = make_experiment(options.search)
    configs = json.loads(options.configs.read_text())
    ray.init(include_dashboard=False, log_to_driver=False)
    began = time.perf_counter()
    best = run(experiment, configs, options)
    seconds = time.perf_counter() - began
    options.result.write_text(json.dumps({"trials_seconds": seconds, "best": best}))


def run(
    experiment: Any, configs: list[dict[str, Any]], options: argparse.Namespace
) -> list[float]:
    """Train the configs.

    Args:
        experiment: What the search holds fixed.
        configs: Hyperparameters by name.
        options: The command line.

    Returns:
        The best objective of each config, in order.

    Raises:
        RuntimeError: If a trial fails.
    """
    trainable = tune.with_parameters(train_plain, experiment=experiment, workers=options.workers)
    numbered = [{"number": i, "values": config} for i, config in enumerate(configs)]
    results = tune.Tuner(
        tune.with_resources(trainable, {"cpu": options.cpus}),
        param_space={"config": tune.grid_search(numbered), "threads": options.cpus},
        tune_config=tune.TuneConfig(max_concurrent_trials=options.slots, reuse_actors=False),
        run_config=tune.RunConfig(storage_path=str(options.folder), verbose=0),
    ).fit()
    if results.errors:
        msg = f"every plain trial must end well, got {results.errors[0]}"
        raise RuntimeError(msg)
    scores = {
        result.config["config"]["number"]: float(result.metrics["best"])
        for result in results
        if result.config is not None and result.metrics is not None
    }
    return [scores[i] for i in range(len(configs))]


if __name__ == "__main__":
    main()
