"""The chosen trial with its scores, for `best.json`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pandas as pd

from analysis.run_folder.best_record import Best, ScoredTrial
from search.study.trial import EPOCH, ranked
from trainables.evaluation.metrics import mode_of

if TYPE_CHECKING:
    from analysis.run_folder.folder import RunFolder
    from search.study.trial import Records, TrialRecord

_WHY = {
    "finished": "the best score among the {n} trials that ran their course",
    "stopped": "the best score among the {n} trials with one; ASHA stopped them all",
    "interrupted": "the best score so far among the {n} trials that were cut off; none ended",
}
_WHY_ALONE = {
    "finished": "the only trial that ran its course",
    "stopped": "the only trial with a score; ASHA stopped it",
    "interrupted": "the only trial with a score so far; it was cut off",
}


def best_trial(
    folder: RunFolder,
    records: Records,
    metric: str,
    chosen: tuple[TrialRecord, str] | None = None,
) -> Best:
    """Record which trial is chosen, and its scores in the search.

    Args:
        folder: The run folder; its history is read.
        records: The trials, all ended; at least one has a score.
        metric: The objective.
        chosen: The trial, and why it; by default the best of the search.

    Returns:
        The record, without what the stages after the trials add.
    """
    order = ranked(records, mode_of(metric))
    history = _history(folder)
    among = sum(record.fate == order[0].fate for record in order)
    sentences = _WHY if among > 1 else _WHY_ALONE
    best, why = chosen or (order[0], sentences[str(order[0].fate)].format(n=among))
    tried_first = next((record for record in order if record.hand_tuned), None)
    return Best(
        objective=metric,
        mode=mode_of(metric),
        **_at_best_epoch(best, history, metric),
        params=dict(best.params),
        why=why,
        hand_tuned=None
        if tried_first is None
        else ScoredTrial(**_at_best_epoch(tried_first, history, metric)),
    )


def _history(folder: RunFolder) -> pd.DataFrame:
    if not folder.history.exists():  # reported when the search went on without it
        return pd.DataFrame({"trial": [], EPOCH: []})
    return folder.read_history()


def _at_best_epoch(record: TrialRecord, history: pd.DataFrame, metric: str) -> dict[str, Any]:
    """Return the fields of a `ScoredTrial`."""
    epoch, score = record.best(mode_of(metric)) or (0, math.nan)
    rows = history[(history["trial"] == record.number) & (history[EPOCH] == epoch)]
    # A kill or a full disk may have cost the table a row; the study still has the objective.
    row = {metric: score} if rows.empty else rows.iloc[-1].to_dict()
    metrics = {str(k): float(v) for k, v in row.items() if str(k).startswith(("val_", "train_"))}
    return {
        "trial": record.number,
        "fate": str(record.fate),
        "best_epoch": epoch,
        "score": score,
        "scores": {name: value for name, value in metrics.items() if math.isfinite(value)},
    }
