"""Format a comparison of runs: for the terminal, as Markdown, CSV, LaTeX and HTML."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pandas as pd
from rich.text import Text

from analysis.render.columns import least_width, terminal_table
from analysis.render.page import render_page
from analysis.render.text import (
    format_count,
    format_duration,
    format_interval,
    format_millions,
    format_score,
    heading,
)
from trainables.evaluation.metrics import score_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rich.console import Console

    from analysis.tables.comparison import Comparison

_TEXT = {"run": "run", "model": "model", "unfrozen": "unfrozen_layers"}
_NUMBERS: Mapping[str, tuple[str, Callable[[Any], str]]] = {
    "params": ("total_parameters", format_millions),
    "trainable": ("trainable_parameters", format_millions),
    "epochs": ("epochs", format_count),
    "time": ("seconds", format_duration),
    "samples/s": ("samples_per_second", format_count),
}
_INTERVAL = "95 % interval"
_BEFORE = ("run", "model", "params", "trainable", "unfrozen", "epochs")
_AFTER = (_INTERVAL, "time", "samples/s")
_DISPENSABLE = (
    "samples/s",
    "unfrozen",
    "trainable",
    "model",
    "params",
    _INTERVAL,
    "time",
    "epochs",
)
"""Columns to drop on a narrow terminal, in this order."""
_PUBLISHED = "published by the lab: its own split, larger backbones; not a run of this program"
_LUCK = 0.05
_FEW_CLASSES = 3  # whose scores always stay


def _order(comparison: Comparison) -> list[str]:
    """Return the headings of the columns, in order."""
    return [*_BEFORE, *map(heading, comparison.compared), *_AFTER]


def _numbers(comparison: Comparison) -> dict[str, tuple[str, Callable[[Any], str]]]:
    """Return the column of each heading of a number, and how it is formatted."""
    scores = {heading(name): (name, format_score) for name in comparison.compared}
    return {**_NUMBERS, **scores}


def formatted(comparison: Comparison) -> pd.DataFrame:
    """Format a comparison as strings under short headings; a dagger marks published rows."""
    rows = comparison.rows
    columns = {name: rows[column] for name, column in _TEXT.items()}
    columns["run"] = rows["run"].where(rows["kind"] == "run", rows["run"] + " †")
    numbers = _numbers(comparison).items()
    columns |= {name: rows[column].map(text) for name, (column, text) in numbers}
    ends = zip(rows["low"], rows["high"], strict=True)
    columns[_INTERVAL] = pd.Series([format_interval(*pair) for pair in ends], index=rows.index)
    return pd.DataFrame(columns)[_order(comparison)]


def notes(comparison: Comparison, *, intervals: bool = True) -> list[str]:
    """Return notes that a reader of the table needs, in sentences.

    Args:
        comparison: What the table shows.
        intervals: Whether it shows intervals.

    Returns:
        The notes.
    """
    rows, metric = comparison.rows, heading(comparison.metric)
    found = [f"The interval is of {metric}."] if intervals and rows["low"].notna().any() else []
    covered = rows[rows["covers"] != ""].groupby("covers", sort=False)["run"]
    if intervals:
        found += [f"{', '.join(who)}: the interval covers {what}." for what, who in covered]
    for word, meaning in (
        ("searched", "of the best trial, chosen for them, so optimistic"),
        ("confirmed", "of what was chosen, trained again on fresh seeds and folds"),
    ):
        named = rows.loc[rows["scored"] == word, "run"]
        found += [f"{', '.join(named)}: {word} scores, {meaning}."] * bool(len(named))
    for note, names in rows[rows["note"] != ""].groupby("note", sort=False)["run"]:
        found.append(f"{', '.join(names)}: {note}; such scores say nothing about real tweets.")
    found += [_pair_note(pair, metric) for pair in comparison.pairs.itertuples(index=False)]
    return found + [f"† {_PUBLISHED}."] * bool((rows["kind"] == "published").any())


def _pair_note(pair: Any, metric: str) -> str:
    verdict = "hardly luck" if pair.p_value < _LUCK else "may be luck"
    return (
        f"{pair.run} less {pair.other}, as {pair.scored}, on the same samples and folds: {metric} "
        f"{pair.difference:+.4f} ({pair.low:+.4f} to {pair.high:+.4f}, p {pair.p_value:.3f}): "
        f"{verdict}."
    )


def to_terminal(comparison: Comparison, console: Console) -> None:
    """Print a comparison to a console, without the columns that do not fit its width."""
    frame = _without_wide(comparison, console.width)
    looks = {"best": "bold green", "published": "dim"}
    styles = [looks.get(mark, "") for mark in marks(comparison)]
    console.print(terminal_table(_cells(frame), console.width, [*_TEXT], styles))
    below = notes(comparison, intervals=_INTERVAL in frame)
    for note in [*_unseen(comparison, frame), *below]:
        console.print(Text(note, style="dim"))


def _without_wide(comparison: Comparison, width: int) -> pd.DataFrame:
    """Return the formatted columns that have something to say and fit a width.

    The scores of more than a few classes go together, before what a reader needs more.
    """
    frame = formatted(comparison)
    frame = frame.loc[:, (frame != "").any()]
    of_classes, steps = _of_classes(comparison), [[name] for name in _DISPENSABLE]
    if len(of_classes) > _FEW_CLASSES:
        steps.insert(_DISPENSABLE.index("model"), of_classes)
    for names in steps:
        if least_width(_cells(frame)) <= width:
            break
        frame = frame.drop(columns=names, errors="ignore")
    return frame


def _cells(frame: pd.DataFrame) -> dict[str, list[str]]:
    return {str(name): frame[name].tolist() for name in frame}


def _of_classes(comparison: Comparison) -> list[str]:
    """Return the headings of the scores of one class each, but that which is ordered by."""
    names = [n for n in comparison.compared if score_of(n).of_class and n != comparison.metric]
    return [heading(name) for name in names]


def _unseen(comparison: Comparison, frame: pd.DataFrame) -> list[str]:
    """Say where the scores of single classes are that the terminal has no room for."""
    missing = [name for name in _of_classes(comparison) if name not in frame]
    where = "python -m analysis.compare with --out FILE.md (.html, .csv, .tex) has them"
    return [f"No room for {', '.join(missing)}: {where}."] * bool(missing)


def marks(comparison: Comparison) -> list[str]:
    """Classify rows for highlighting, as `best`, `published` or an empty string."""
    kinds = comparison.rows["kind"]
    found = kinds.where(kinds == "published", "").tolist()
    if (kinds == "run").sum() > 1 and comparison.rows[comparison.metric].notna().iloc[0]:
        found[0] = "best"  # runs come first, the best of them at the top
    return found


def to_markdown(comparison: Comparison) -> str:
    """Format a comparison as a Markdown table, followed by its notes."""
    frame = formatted(comparison)
    cells = [[_markdown(cell) for cell in row] for row in frame.itertuples(index=False)]
    ruler = ["---" if name in _TEXT else "---:" for name in frame.columns]
    lines = ["| " + " | ".join(row) + " |" for row in [list(frame.columns), ruler, *cells]]
    return "\n".join([*lines, "", *(f"- {_markdown(note)}" for note in notes(comparison)), ""])


def to_csv(comparison: Comparison) -> str:
    """Format a comparison as CSV in full precision, with the column names of `COLUMNS`."""
    return comparison.rows.to_csv(index=False, lineterminator="\n")


def to_latex(comparison: Comparison) -> str:
    """Format a comparison as a booktabs `tabular`, preceded by its notes as comments."""
    style = formatted(comparison).style.hide(axis="index").format(escape="latex")
    style = style.format_index(escape="latex", axis="columns")
    layout = "".join("l" if name in _TEXT else "r" for name in _order(comparison))
    table = style.to_latex(hrules=True, column_format=layout).replace("†", r"\textdagger{}")
    return "".join(f"% {note}\n" for note in notes(comparison)) + table


def to_html(comparison: Comparison) -> str:
    """Format a comparison as a self-contained page."""
    return render_page(
        "comparison.html",
        **sortable(comparison),
        notes=notes(comparison),
        count=int((comparison.rows["kind"] == "run").sum()),
    )


def sortable(comparison: Comparison) -> dict[str, Any]:
    """Format a comparison as `columns`, `rows` and `marks` of the templates' sortable table."""
    rows, frame = comparison.rows, formatted(comparison)
    raw = {name: column for name, (column, _) in _numbers(comparison).items()}
    raw |= {_INTERVAL: "low"}
    order = _order(comparison)
    cells = [
        [
            {"text": text, "value": _number(rows.at[index, raw[name]]) if name in raw else None}
            for name, text in zip(order, texts, strict=True)
        ]
        for index, texts in zip(rows.index, frame.itertuples(index=False), strict=True)
    ]
    return {
        "columns": [{"name": name, "text": name in _TEXT} for name in order],
        "rows": cells,
        "marks": marks(comparison),
    }


FORMATS: Mapping[str, Callable[[Comparison], str]] = {
    "html": to_html,
    "md": to_markdown,
    "csv": to_csv,
    "tex": to_latex,
    "latex": to_latex,
}
"""The output formats, by file suffix."""


def _number(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)


def _markdown(text: str) -> str:
    return re.sub(r"([\\|*_`<\[\]])", r"\\\1", text)
