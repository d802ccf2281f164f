"""The sortable tables of a report: all trials, the confirmed configs, and rung zero."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from analysis.render.text import (
    format_count,
    format_duration,
    format_interval,
    format_score,
    format_value,
    heading,
    readable,
)
from analysis.run_folder.folder import CONFIG
from analysis.tables.rung_zero import behind, columns_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from analysis.run_folder.best_record import Ensemble
    from analysis.run_folder.run import Run

_Column = tuple[str, str, "Callable[[Any], str] | None"]
_LEADING: tuple[_Column, ...] = (
    ("trial", "trial", None),
    ("fate", "fate", None),
    ("objective", "objective", format_score),
    ("best_epoch", "best at epoch", format_count),
    ("epochs", "epochs", format_count),
    ("seconds", "time", format_duration),
    ("peak_memory_mb", "memory, MB", format_count),
    ("retries", "retries", format_count),
)
_TEXT = "fate", "error", "note"


def trial_table(run: Run) -> dict[str, Any]:
    """Format all trials for the template; hyperparameters that never varied are left out."""
    trials = run.trials
    columns: list[_Column] = [column for column in _LEADING if column[0] in trials]
    columns[2:3] = [("objective", heading(run.objective), format_score)]
    columns += [
        (CONFIG + name, readable(name), format_value)
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
    chosen = None if run.best is None else run.best.trial
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
    """Format the confirmed configs like `trial_table`; None if there are none."""
    candidates = run.candidates
    if not candidates:
        return None
    name = heading(run.objective)
    heads = ["trial", f"searched {name}", f"confirmed {name}", "lost", "spread", "interval"]
    rows = []
    for one in candidates:
        sign = 1 if run.larger_is_better else -1
        lost = None if one.searched is None else sign * (one.searched - one.confirmed)
        low, high = one.interval or (None, None)
        numbers = [one.searched, one.confirmed, lost, one.spread]
        cells: list[dict[str, Any]] = [{"text": f"trial {one.trial}", "value": float(one.trial)}]
        cells += [{"text": format_score(value), "value": value} for value in numbers]
        rows.append([*cells, {"text": format_interval(low, high), "value": low}])
    chosen = None if run.best is None else run.best.trial
    marks = ["best" if one.trial == chosen else "" for one in candidates]
    columns = [{"name": head, "text": head == "trial"} for head in heads]
    return {"columns": columns, "rows": rows, "marks": marks}


def member_table(run: Run) -> dict[str, Any] | None:
    """Format the members of an ensemble like `trial_table`; None if there is none."""
    if run.best is None or run.best.ensemble is None:
        return None
    return member_rows(run.best.ensemble, run.objective)


def member_rows(ensemble: Ensemble, objective: str) -> dict[str, Any]:
    """Format the members of an ensemble like `trial_table`."""
    heads = ["member", "weight", f"alone: {heading(objective)}", "epochs"]
    rows = [
        [
            {"text": member.name, "value": None},
            {"text": f"{member.weight:.2f}", "value": member.weight},
            {"text": format_score(member.confirmed), "value": member.confirmed},
            {"text": str(member.epochs or ""), "value": member.epochs or None},
        ]
        for member in ensemble.members
    ]
    columns = [{"name": head, "text": head == "member"} for head in heads]
    return {"columns": columns, "rows": rows, "marks": [""] * len(rows)}


def rung_zero_table(run: Run) -> dict[str, Any] | None:
    """Format rung zero, as `trial_table`; None where nothing was compared."""
    table = run.rung_zero
    if table.empty:
        return None
    names = columns_of(table)
    name = heading(run.objective)
    heads = [readable(each.removeprefix("config/")) for each in names]
    heads += ["log-loss", "behind the best", name, "behind"]
    rows: list[list[dict[str, Any]]] = []
    marks: list[str] = []
    for found in table.to_dict("records"):
        cells: list[dict[str, Any]] = [
            {"text": format_value(found[each]), "value": None} for each in names
        ]
        for key in ("loss", "objective"):
            lost, error = found[f"{key}_behind"], found[f"{key}_error"]
            cells.append({"text": format_score(found[key]), "value": found[key]})
            cells.append({"text": behind(lost, error), "value": lost})
        rows.append(cells)
        marks.append("" if marks else "best")
    columns = [{"name": head, "text": k < len(names)} for k, head in enumerate(heads)]
    return {"columns": columns, "rows": rows, "marks": marks}
