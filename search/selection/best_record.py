"""`best.json`: the chosen config, its scores, and why it was chosen."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pandas as pd

from search.study.trial import EPOCH, ranked
from trainables.evaluation.objective import mode_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from analysis.run_folder.folder import RunFolder
    from search.study.trial import Records, TrialRecord
    from trainables.evaluation.objective import Mode

_WHY = {
    "finished": "the best score among the {n} trials that ran their course",
    "stopped": "the best score among the {n} trials with one; ASHA stopped them all",
    "interrupted": "the best score so far among the {n} trials that were cut off; none ended",
}


def write_best(
    folder: RunFolder,
    records: Records,
    metric: str,
    mode: Mode,
    *,
    chosen: tuple[TrialRecord, str] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write the chosen config with its scores.

    Args:
        folder: Where it goes; its history is read.
        records: The trials, all ended; at least one has a score.
        metric: The objective.
        mode: Whether more or less of it is better.
        chosen: The trial, and why it; by default the best of the search.
        extra: What later stages have found out, by name.

    Returns:
        What was written: `trial`, `params`, `best_epoch`, `score`, `scores` of every metric at
        the best epoch, `why`, `hand_tuned` with the same of that config, or null, and the rest.
    """
    order = ranked(records, mode)
    history = _history(folder)
    among = sum(record.fate == order[0].fate for record in order)
    best, why = chosen or (order[0], _WHY[str(order[0].fate)].format(n=among))
    tried_first = next((record for record in order if record.hand_tuned), None)
    written = {
        "objective": metric,
        "mode": mode,
        **_scores(best, history, metric),
        "params": dict(best.params),
        "why": why,
        "hand_tuned": tried_first and _scores(tried_first, history, metric),
        **(extra or {}),
    }
    folder.write_best(written)
    return written


def _history(folder: RunFolder) -> pd.DataFrame:
    if not folder.history.exists():  # told when the search went on without it
        return pd.DataFrame({"trial": [], EPOCH: []})
    return folder.read_history()


def _scores(record: TrialRecord, history: pd.DataFrame, metric: str) -> dict[str, Any]:
    epoch, score = record.best(mode_of(metric)) or (0, math.nan)
    rows = history[(history["trial"] == record.number) & (history[EPOCH] == epoch)]
    # A kill or a full disk may have cost the table a row; the study still has the objective.
    row = {metric: score} if rows.empty else rows.iloc[-1].to_dict()
    metrics = {str(k): float(v) for k, v in row.items() if str(k).startswith(("val_", "train_"))}
    return {
        "trial": record.number,
        "fate": record.fate,
        "best_epoch": epoch,
        "score": score,
        "scores": {name: value for name, value in metrics.items() if math.isfinite(value)},
    }
