"""Run a search as a user does, in a process of its own, and read what it left behind."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import optuna
import pandas as pd
import torch

from analysis.run_folder.folder import CONFIG, RunFolder
from search.cluster.activations import configs_ahead
from search.config.plan import make_plan
from search.config.settings import parse
from search.pipeline.run_record import in_precision as chosen_precision
from search.pipeline.workflow import prepare
from tests.benchmarks.processes import ProcessTree
from trainables.worker import describe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from search.config.plan import Plan
    from trainables.experiment import Experiment

_POLL_SECONDS = 0.25


@dataclass(frozen=True)
class Ran:
    """A process that has ended well.

    Attributes:
        seconds: Wall-clock time from its start to its end.
        core_seconds: Time of all cores that it and what it started used.
        peak_mb: Most memory that it itself held, its children not counted, in MB.
        held_mb: What it held while it ran, by Unix time.
        spent: Core-seconds used up to then, by Unix time.
        workers_mb: Most memory that one of Ray's workers held, in MB, by what it did.
    """

    seconds: float
    core_seconds: float
    peak_mb: float
    held_mb: Mapping[float, float]
    spent: Mapping[float, float]
    workers_mb: Mapping[str, float]


def run_module(module: str, arguments: Sequence[str]) -> Ran:
    """Run a module as a command line.

    Args:
        module: Its name.
        arguments: The words after it.

    Returns:
        What it took.

    Raises:
        RuntimeError: If it fails; with the end of what it said.
    """
    began = time.perf_counter()
    command = [sys.executable, "-m", module, *arguments]
    with tempfile.TemporaryFile("w+") as output:  # a pipe that nobody reads fills up
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        tree = ProcessTree(process.pid)
        try:
            while process.poll() is None:
                tree.look()
                time.sleep(_POLL_SECONDS)
        finally:
            process.terminate()
        seconds = time.perf_counter() - began
        output.seek(0)
        said = output.read()
    if process.returncode:
        msg = f"{' '.join(command)} failed with {process.returncode}:\n{said[-3000:]}"
        raise RuntimeError(msg)
    return Ran(seconds, tree.core_seconds, tree.peak_mb, tree.held_mb, tree.spent, tree.workers_mb)


def search_arguments(options: Any, out: Path, cache: Path) -> list[str]:
    """Spell out a search without ASHA and without retraining, so that its work is known.

    Args:
        options: `data`, `backbone` (ROLE=SOURCE words), `trials`, `epochs`, `seed`, `precision`,
            `text_unfrozen` and `image_unfrozen` (None to search them).
        out: Folder of the results.
        cache: Folder of frozen activations.

    Returns:
        The words after `python -m search.run`.
    """
    words = ["--model", "early_fusion", "--data", options.data, "--split", "lab"]
    for backbone in options.backbone:
        words += ["--backbone", backbone]
    words += ["--trials", str(options.trials), "--epochs", str(options.epochs)]
    words += ["--seed", str(options.seed), "--scheduler", "none", "--no-retrain"]
    words += ["--precision", options.precision]
    words += ["--out", str(out), "--cache", str(cache)]
    words += ["--fix", "lexicon=false"]  # which the plain way does not read
    for role in ("text", "image"):
        if (unfrozen := getattr(options, f"{role}_unfrozen")) is not None:
            words += ["--fix", f"{role}_unfrozen_layers={unfrozen}"]
    return words


def add_search_options(parser: Any, *, trials: int, epochs: int) -> None:
    """Add the options that `search_arguments` reads.

    Args:
        parser: An `argparse.ArgumentParser`.
        trials: Default number of trials.
        epochs: Default number of epochs.
    """
    parser.add_argument("--data", default="demo", help="a data set, or demo")
    parser.add_argument("--backbone", nargs="+", default=[], metavar="ROLE=SOURCE")
    parser.add_argument("--trials", type=int, default=trials)
    parser.add_argument("--epochs", type=int, default=epochs)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--precision", default="auto", help="as of search.run")
    parser.add_argument("--text-unfrozen", type=int, metavar="N", help="searched by default")
    parser.add_argument("--image-unfrozen", type=int, metavar="N", help="searched by default")


def make_experiment(arguments: Sequence[str], limit: int | None = None) -> Experiment:
    """Make what a search would hold fixed.

    Args:
        arguments: The words after `python -m search.run`; the folder of results must hold none.
        limit: Most labelled samples to keep, which leaves the folds unusable; None keeps all.

    Returns:
        The experiment.
    """
    experiment = prepare(make_plan(parse(arguments)))
    if limit is None:
        return experiment
    corpus = experiment.corpus
    return replace(
        experiment, corpus=replace(corpus, labelled=corpus.labelled[:limit], unlabelled=())
    )


def in_precision(experiment: Experiment, plan: Plan) -> Experiment:
    """Give an experiment the precision that a search would choose for it on this CPU."""
    described = describe(experiment, configs_ahead(plan), torch.device("cpu"))
    return chosen_precision(experiment, described)


def read_configs(folder: Path) -> list[dict[str, Any]]:
    """Read the hyperparameters of a search's trials.

    Args:
        folder: Its run folder.

    Returns:
        Per trial, in the order of their numbers; a parameter that a trial did not draw is left
        out.
    """
    trials = RunFolder(folder).read_trials().sort_values("trial")
    columns = [name for name in trials.columns if name.startswith(CONFIG)]
    return [
        {name.removeprefix(CONFIG): _plain(row[name]) for name in columns if pd.notna(row[name])}
        for _, row in trials.iterrows()
    ]


def trial_times(folder: Path) -> list[tuple[float, float]]:
    """Read when each trial began and ended, from the study.

    Args:
        folder: The run folder.

    Returns:
        Seconds since 1970, in the order of their numbers.
    """
    backend = optuna.storages.journal.JournalFileBackend(str(RunFolder(folder).study))
    storage = optuna.storages.JournalStorage(backend)
    (name,) = optuna.get_all_study_names(storage)
    trials = optuna.load_study(study_name=name, storage=storage).get_trials(deepcopy=False)
    return [
        (trial.datetime_start.timestamp(), trial.datetime_complete.timestamp())
        for trial in trials
        if trial.datetime_start is not None and trial.datetime_complete is not None
    ]


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value
