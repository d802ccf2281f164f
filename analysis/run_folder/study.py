"""The trials of a run as its Optuna study has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from optuna.trial import TrialState

from analysis.run_folder.digests import is_noted
from analysis.run_folder.folder import CONFIG
from analysis.run_folder.io import ResultsError
from analysis.run_folder.schema import TRIALS, checked
from analysis.run_folder.study_storage import database_of, open_storage

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from analysis.run_folder.folder import RunFolder


_FATES = {
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "stopped",
    TrialState.FAIL: "failed",
}


def study_trials(
    folder: RunFolder, notes: list[str], *, database: bool = False
) -> list[FrozenTrial]:
    """Read the trials of a run's study.

    Args:
        folder: The run folder.
        notes: What could not be read is added to it.
        database: Whether to connect to the database that the folder names: not where the folder is
            a stranger's, for it may name any.

    Returns:
        The trials, in the order of their numbers; none where the folder has no study, or its
        database cannot be read.

    Raises:
        ResultsError: If the study's file is damaged, or was there and is missing.
    """
    in_database = database_of(folder) is not None
    if in_database and not database:
        notes.append(
            f"what only the study tells is left out: it is in a database that {folder.search}"
            " names; --database connects to it"
        )
        return []
    if not in_database and not folder.study.exists() and not is_noted(folder.study):
        return []
    try:
        storage, name = open_storage(folder)
    except ResultsError as error:
        if not in_database:
            raise
        notes.append(f"what only the study tells is left out: {error}")
        return []
    return storage.get_all_trials(storage.get_study_id_from_name(name), deepcopy=False)


def ended_trials(
    folder: RunFolder, notes: list[str], *, larger_is_better: bool, database: bool = False
) -> pd.DataFrame:
    """Tabulate the trials of a study that have ended.

    Args:
        folder: The run folder.
        notes: What could not be read is added to it.
        larger_is_better: Whether more of the objective is better.
        database: As for `study_trials`.

    Returns:
        Columns of `TRIALS` and one `config/NAME` per hyperparameter, a row per trial, in the
        order of their numbers.
    """
    sign = max if larger_is_better else min
    rows = []
    for trial in study_trials(folder, notes, database=database):
        if not trial.state.is_finished():
            continue
        facts, reports = trial.user_attrs, trial.intermediate_values
        best = sign(reports, key=reports.__getitem__, default=None)
        row = dict.fromkeys(TRIALS) | {
            "trial": trial.number,
            "fate": _FATES.get(trial.state),
            "objective": trial.value if best is None else reports[best],
            "best_epoch": best,
            "epochs": max(reports, default=0),
            "seconds": 0.0,
            "retries": 0,
            "hand_tuned": False,
            "error": "",
            "note": "",
        }
        row |= {name: facts[name] for name in TRIALS if name in facts}
        rows.append(row | {CONFIG + name: value for name, value in trial.params.items()})
    return checked(folder.study, pd.DataFrame(rows), TRIALS)
