"""The result of a search as tables: its trials and the importances."""

from __future__ import annotations

from typing import TYPE_CHECKING

import optuna
import pandas as pd

from analysis.run_folder.folder import CONFIG
from analysis.run_folder.schema import TRIALS
from search.study.trial import ranked

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

    from analysis.run_folder.folder import RunFolder
    from search.study.trial import Records
    from trainables.evaluation.metrics import Mode

_MIN_IMPORTANCE_TRIALS = 4


def trials_table(records: Records, mode: Mode) -> pd.DataFrame:
    """Tabulate the ended trials, in the order of their numbers, columns as `TRIALS` says."""
    rows = []
    for record in sorted(records.values(), key=lambda record: record.number):
        if record.fate is None:
            continue
        row = dict.fromkeys(TRIALS) | {"trial": record.number} | record.user_attrs(mode)
        rows.append(row | {CONFIG + name: value for name, value in record.params.items()})
    frame = pd.DataFrame(rows, columns=None if rows else ["trial", "fate", "objective", "error"])
    return frame.astype({"best_epoch": "Int64", "objective": "float64"}) if rows else frame


def write_importances(
    folder: RunFolder, records: Records, mode: Mode, distributions: dict[str, BaseDistribution]
) -> str:
    """Write how much of the objective's spread each hyperparameter explains, by fANOVA.

    Args:
        folder: Where the table goes.
        records: The trials; the finished and those that ASHA stopped count, with the objective at
            their best epoch.
        mode: Whether more or less of the objective is better.
        distributions: The space.

    Returns:
        Why there is no table; empty when there is one.

    Source:
        Hutter, Hoos and Leyton-Brown, "An Efficient Approach for Assessing Hyperparameter
        Importance", ICML 2014, as in Optuna; only parameters that every trial drew.
    """
    ended = [r for r in ranked(records, mode) if r.fate != "interrupted"]
    scores = [best[1] for r in ended if (best := r.best(mode)) is not None]
    if len(ended) < _MIN_IMPORTANCE_TRIALS:
        needed = f"it needs {_MIN_IMPORTANCE_TRIALS} trials with a score, got {len(ended)}"
        return f"no table of importances: {needed}"
    if len(set(scores)) == 1:
        return "no table of importances: it needs scores that differ, got the same of all"
    study = optuna.create_study(direction="maximize" if mode == "max" else "minimize")
    for record, score in zip(ended, scores, strict=True):
        drawn = {name: distributions[name] for name in record.params}
        study.add_trial(
            optuna.trial.create_trial(params=dict(record.params), distributions=drawn, value=score)
        )
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    folder.write_importances(
        pd.DataFrame({"parameter": list(found), "importance": list(found.values())})
    )
    return ""
