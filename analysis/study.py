"""The Optuna study of a run: when trials ran, and what Optuna's own plots draw."""

from __future__ import annotations

from typing import TYPE_CHECKING

import optuna
import pandas as pd
from optuna.trial import TrialState

from analysis.columns import TRIALS, checked
from analysis.digests import is_noted
from analysis.files import ResultsError
from analysis.results import CONFIG
from analysis.study_storage import database_of, open_storage
from analysis.tables import progress

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

    from analysis.run import Run

_FATES = {
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "stopped",
    TrialState.FAIL: "failed",
}
_LEFT = ["trial", "start", "end"]


def study_trials(run: Run) -> list[FrozenTrial]:
    """Read the trials of a run's study.

    Args:
        run: The run.

    Returns:
        The trials as Optuna has them, in the order of their numbers; none where the folder has no
        study or its database cannot be had, which the run's notes then say.

    Raises:
        ResultsError: If the study's file is damaged, or is gone that was there.
    """
    folder = run.folder
    in_database = database_of(folder) is not None
    if not in_database and not folder.study.exists() and not is_noted(folder.study):
        return []
    try:
        storage, name = open_storage(folder)
    except ResultsError as error:
        if not in_database:
            raise
        run.notes.append(f"what only the study tells is left out: {error}")
        return []
    return storage.get_all_trials(storage.get_study_id_from_name(name), deepcopy=False)


def ended_trials(run: Run) -> pd.DataFrame:
    """Tabulate the trials that have ended, as the study tells it.

    Args:
        run: The run.

    Returns:
        Columns of `analysis.columns.TRIALS` and one `config/NAME` per hyperparameter, a row per
        trial, in the order of their numbers.
    """
    sign = max if run.larger_is_better else min
    rows = []
    for trial in study_trials(run):
        if not trial.state.is_finished():
            continue
        facts, reports = trial.user_attrs, trial.intermediate_values
        best = sign(reports, key=reports.__getitem__, default=None)
        row = {
            "trial": trial.number,
            "fate": facts.get("fate", _FATES.get(trial.state)),
            "objective": facts.get("objective", trial.value if best is None else reports[best]),
            "best_epoch": facts.get("best_epoch", best),
            "epochs": facts.get("epochs", max(reports, default=0)),
            "seconds": facts.get("seconds", 0.0),
            "peak_memory_mb": facts.get("peak_memory_mb"),
            "retries": facts.get("retries", 0),
            "hand_tuned": facts.get("hand_tuned", False),
            "error": facts.get("error") or facts.get("note") or "",
        }
        rows.append(row | {CONFIG + name: value for name, value in trial.params.items()})
    return checked(run.folder.study, pd.DataFrame(rows), TRIALS, ())


def trial_times(trials: list[FrozenTrial]) -> pd.DataFrame:
    """Say when each trial ran.

    Args:
        trials: Those of a study.

    Returns:
        Columns `trial`, `start`, `end`; trials that have not ended are left out.
    """
    rows = [
        (trial.number, trial.datetime_start, trial.datetime_complete)
        for trial in trials
        if trial.datetime_start is not None and trial.datetime_complete is not None
    ]
    return pd.DataFrame(rows, columns=_LEFT)


def scored_study(run: Run, trials: list[FrozenTrial]) -> optuna.Study | None:
    """Make a study that Optuna's plots can draw: also what ASHA stopped has its score in it.

    Args:
        run: The run.
        trials: Those of its study.

    Returns:
        A study in memory, every trial that has a score complete; None where there are none.
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
    """Name the hyperparameters that could vary, in the order of the space.

    Args:
        trials: Those of a study.

    Returns:
        Names; what `--fix` held is left out.
    """
    found: dict[str, BaseDistribution] = {}
    for trial in trials:
        found |= {name: d for name, d in trial.distributions.items() if not d.single()}
    return list(found)
