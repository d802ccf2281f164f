"""The Optuna study of a run: when trials ran, and a study that Optuna can plot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import optuna
import pandas as pd

from analysis.tables.search import progress

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

    from analysis.run_folder.run import Run

_LEFT = ["trial", "start", "end"]


def trial_times(trials: list[FrozenTrial]) -> pd.DataFrame:
    """Return when each ended trial ran, columns `trial`, `start`, `end`."""
    rows = [
        (trial.number, trial.datetime_start, trial.datetime_complete)
        for trial in trials
        if trial.datetime_start is not None and trial.datetime_complete is not None
    ]
    return pd.DataFrame(rows, columns=_LEFT)


def scored_study(run: Run, trials: list[FrozenTrial]) -> optuna.Study | None:
    """Make an in-memory study for Optuna's plots, in which every trial with a score is complete.

    Trials stopped by ASHA count with their score.

    Returns:
        The study; None if no trial has a score.
    """
    scores = progress(run).set_index("trial")["objective"]
    kept = [trial for trial in trials if trial.number in scores.index and trial.params]
    if not kept:
        return None
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(direction="maximize" if run.larger_is_better else "minimize")
        study.add_trials(
            optuna.trial.create_trial(
                params=trial.params,
                distributions=trial.distributions,
                value=float(scores[trial.number]),
            )
            for trial in kept
        )
    finally:
        optuna.logging.set_verbosity(verbosity)
    return study


def searched_parameters(trials: list[FrozenTrial]) -> list[str]:
    """Return the hyperparameters that could vary (not fixed), in the order of the space."""
    found: dict[str, BaseDistribution] = {}
    for trial in trials:
        found |= {name: d for name, d in trial.distributions.items() if not d.single()}
    return list(found)
