"""The tables of a report that sort: all trials, and those that were trained again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from analysis.render.text import bounds, duration, heading, score, setting, whole, words
from analysis.run_folder.folder import CONFIG

if TYPE_CHECKING:
    from collections.abc import Callable

    from analysis.run_folder.run import Run

_Column = tuple[str, str, "Callable[[Any], str] | None"]
_LEADING: tuple[_Column, ...] = (
    ("trial", "trial", None),
    ("fate", "fate", None),
    ("objective", "objective", score),
    ("best_epoch", "best at epoch", whole),
    ("epochs", "epochs", whole),
    ("seconds", "time", duration),
    ("peak_memory_mb", "memory, MB", whole),
    ("retries", "retries", whole),
)
_TEXT = "fate", "error", "note"


def trial_table(run: Run) -> dict[str, Any]:
    """Spell all trials.

    Args:
        run: The run.

    Returns:
        `columns`, `rows` and `marks` for the `sortable` of the templates. Hyperparameters that
        never varied are left out.
    """
    trials = run.trials
    columns: list[_Column] = [column for column in _LEADING if column[0] in trials]
    columns[2:3] = [("objective", heading(run.objective), score)]
    columns += [
        (CONFIG + name, words(name), setting)
        for name in run.parameters
        if trials[CONFIG + name].nunique(dropna=False) > 1
    ]
    for name, head in (("error", "reason"), ("note", "note")):
        if name in trials and (trials[name] != "").any():
            columns.append((name, head, None))
    numeric = {
        name: name not in _TEXT and pd.api.types.is_numeric_dtype(trials[name])
        for name, _, _ in columns
    }
    rows = [
        [_cell(value, spell, numeric[name]) for (name, _, spell), value in _zip(columns, values)]
        for values in trials[[name for name, _, _ in columns]].itertuples(index=False)
    ]
    chosen = None if run.best is None else run.best["trial"]
    tuned = trials["hand_tuned"].fillna(value=False) if "hand_tuned" in trials else None
    marks = ["best" if trial == chosen else "" for trial in trials["trial"]]
    for row, mark, is_tuned in zip(
        rows, marks, tuned if tuned is not None else marks, strict=True
    ):
        row[0]["text"] += " (chosen)" * (mark == "best") + " (hand-tuned)" * bool(is_tuned)
    heads = [
        {"name": head, "text": name == "trial" or not numeric[name]} for name, head, _ in columns
    ]
    return {"columns": heads, "rows": rows, "marks": marks}


def _zip(columns: list[_Column], values: tuple[Any, ...]) -> list[tuple[_Column, Any]]:
    return list(zip(columns, values, strict=True))


def _cell(value: Any, spell: Callable[[Any], str] | None, numeric: bool) -> dict[str, Any]:
    if pd.isna(value):
        return {"text": "", "value": None}
    number = float(value) if numeric and not isinstance(value, bool) else None
    return {"text": spell(value) if spell else str(value), "value": number}


def candidate_table(run: Run) -> dict[str, Any] | None:
    """Spell the configs that were trained again on fresh seeds and folds.

    Args:
        run: The run.

    Returns:
        Like `trial_table`; None where none were.
    """
    candidates = run.candidates
    if not candidates:
        return None
    name = heading(run.objective)
    heads = ["trial", f"searched {name}", f"confirmed {name}", "lost", "spread", "interval"]
    rows = []
    for found in candidates:
        sign = 1 if run.larger_is_better else -1
        lost = sign * (found["searched"] - found["confirmed"])
        low, high = found.get("interval") or (None, None)
        numbers = [found["searched"], found["confirmed"], lost, found.get("spread")]
        cells = [{"text": f"trial {found['trial']}", "value": float(found["trial"])}]
        cells += [{"text": score(value), "value": value} for value in numbers]
        rows.append([*cells, {"text": bounds(low, high), "value": low}])
    chosen = None if run.best is None else run.best["trial"]
    marks = ["best" if found["trial"] == chosen else "" for found in candidates]
    columns = [{"name": head, "text": head == "trial"} for head in heads]
    return {"columns": columns, "rows": rows, "marks": marks}
