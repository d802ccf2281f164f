"""The sections of a report: from a run to the variables of its template."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analysis.render.text import format_count, format_percent, heading
from analysis.report import facts, plots_model, plots_parameters, plots_search
from analysis.report.answer import answer
from analysis.report.class_colors import looks_of
from analysis.report.data_card import data_card
from analysis.report.gallery import gallery
from analysis.report.scales import Mark, Scale
from analysis.report.trial_table import (
    candidate_table,
    member_table,
    rung_zero_table,
    trial_table,
)
from analysis.run_folder.explanations import read_explanations
from analysis.run_folder.study import study_trials
from analysis.tables.search import class_scores, confusion_table, contenders, rungs, speed
from analysis.tables.study import scored_study, searched_parameters, trial_times

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    import pandas as pd

    from analysis.report.answer import Answer
    from analysis.report.figures import Figure
    from analysis.run_folder.explanations import Explanation
    from analysis.run_folder.run import Run
    from trainables.evaluation.resampling import Validated

_SECTIONS = {
    "answer": "Answer",
    "before": "Before",
    "search": "Search",
    "settings": "Settings",
    "model": "Model",
    "contenders": "Contenders",
    "examples": "Examples",
    "data": "Data",
    "trials": "Trials",
    "repeat": "Repeat",
}
_NEAR = 3  # interval widths within which contenders are drawn, to limit the scale
_LEAST = 0.02
_MOST = 12
_FIGURES = ("search_figures", "parameter_figures", "slices", "model_figures")


def sections_of(run: Run) -> dict[str, Any]:
    """Compute the variables of `report.html`."""
    explained = read_explanations(run.folder)  # first, as damaged files raise
    found = answer(run)
    validated = None if run.best is None else run.validated(run.best.trial)
    shown: dict[str, Any] = {"run_name": run.name, "metric": heading(run.objective)}
    shown["looks"] = looks_of(run.classes)
    shown |= _answer(run, found) | _search(run) | _model(run, validated)
    shown |= _contenders(run) | _examples(run, validated, explained) | facts.origin(run)
    shown |= {"data": data_card(run), "data_name": run.search.data.name}
    shown |= {"trials": trial_table(run), "candidates": candidate_table(run)}
    shown |= {"members": member_table(run)}
    shown |= {"rung_zero": rung_zero_table(run), "left_out": facts.left_out(run)}
    there = {
        "before": shown["rung_zero"],
        "search": shown["search_figures"],
        "settings": shown["parameter_figures"] or shown["slices"],
        "model": shown["model_figures"] or shown["classes"],
        "contenders": shown["contenders"] or shown["candidates"] or shown["members"],
        "examples": shown["groups"],
        "trials": shown["trials"]["rows"],
    }
    shown["sections"] = [pair for pair in _SECTIONS.items() if there.get(pair[0], True)]
    shown["figures"] = [drawn for group in _FIGURES for drawn in shown[group]]
    shown["figures"] += shown["data"].figures
    return shown


def _answer(run: Run, found: Answer | None) -> dict[str, Any]:
    shown: dict[str, Any] = {"answer": found, "counts": facts.counts(run), "why": "", "config": []}
    if found is None or run.best is None:
        return shown | {"decisions": [], "forest": None}
    marks = [
        Mark(r.name, r.note, r.kind, r.score, r.low, r.high, f"{r.score:.4f}")
        for r in found.rivals
    ]
    scale = Scale.around(marks)
    return shown | {
        "why": facts.why(run),
        "config": facts.config(run),
        "config_heading": facts.config_heading(run.best),
        "decisions": facts.decisions(run),
        "forest": scale.drawing(marks),
    }


def _search(run: Run) -> dict[str, Any]:
    trials = study_trials(run.folder, run.notes, database=run.database)
    times = trial_times(trials)
    speeds = speed(run, times)
    figures = [
        plots_search.history_figure(run),
        plots_search.stopping_figure(run),
        plots_search.budget_figure(run),
        plots_search.timeline_figure(run, times, speeds),
    ]
    searched = searched_parameters(trials)
    importances = plots_parameters.importances_figure(run)
    parameters: list[Figure | None] = [importances]
    slices: list[Figure] = []
    study, top = scored_study(run, trials), plots_parameters.top_parameters(run, searched)
    if study is not None and top:
        slices = plots_parameters.slice_figures(run, study, top)
        parameters.append(plots_parameters.contour_figure(run, study, top))
        parameters.append(plots_parameters.parallel_figure(run, study, top))
    return {
        "search_figures": [drawn for drawn in figures if drawn is not None],
        "tiles": facts.tiles(run, speeds),
        "rungs": rungs(run).to_dict("records"),
        "stages": facts.stage_rows(run),
        "parameter_figures": [drawn for drawn in parameters if drawn is not None],
        "slices": slices,
        "care": plots_parameters.too_few(run, len(searched)) if searched else "",
    }


def _model(run: Run, validated: Validated | None) -> dict[str, Any]:
    if run.best is None:
        return {"model_figures": [], "classes": []}
    trial, decision = run.best.trial, run.best.decision
    temperature = decision.temperature if decision else None
    figures = [plots_model.score_figure(run, trial), plots_model.loss_figure(run, trial)]
    shown: dict[str, Any] = {"classes": []}
    if validated is not None:
        figures.append(plots_model.reliability_figure(validated, temperature))
        figures.append(
            plots_model.threshold_figure(
                validated,
                run.objective.removeprefix("val_"),
                run.best.params.get("neutral_threshold"),
                decision.neutral_threshold if decision else None,
            )
        )
        shown |= classes_of(confusion_table(validated), run.classes.fallback_name)
    return shown | {"model_figures": [drawn for drawn in figures if drawn is not None]}


def classes_of(counts: pd.DataFrame, fallback: str | None) -> dict[str, Any]:
    """Return what is shown of a confusion matrix, and of each class.

    Args:
        counts: Samples by true class (rows) and decided class.
        fallback: The fallback class; None for none.

    Returns:
        The rows of the tables, and what they tell.
    """
    scores = class_scores(counts)
    rows: list[dict[str, Any]] = []
    for name in counts.index:
        total = max(1, int(counts.loc[name].sum()))
        cells = [
            {
                "count": format_count(count),
                "percent": format_percent(count / total),
                "share": round(45 * count / total),
            }
            for count in counts.loc[name]
        ]
        values = scores.loc[name, ["precision", "recall", "f1"]].tolist()
        support = format_count(total)
        rows.append({"name": name, "cells": cells, "scores": values, "support": support})
    weakest = str(scores["f1"].idxmin())
    return {
        "classes": rows,
        "validated_count": format_count(int(counts.to_numpy().sum())),
        "confusion_reading": _confusion_reading(counts, scores["recall"], fallback),
        "class_reading": (
            f"Weakest on {weakest}: "
            f"right in {format_percent(float(scores['precision'][weakest]))} of what it calls so, "
            f"and finds {format_percent(float(scores['recall'][weakest]))} of it."
        ),
    }


def _confusion_reading(counts: pd.DataFrame, recall: pd.Series, fallback: str | None) -> str:
    """Say what the fallback class is taken for, or the class that is missed most."""
    hardest = fallback if fallback and recall[fallback] < 1 else str(recall.idxmin())
    mistaken = counts.loc[hardest].drop(hardest)
    if not mistaken.any():
        return "No class is taken for another."
    often = "most of them" if 2 * mistaken.max() > mistaken.sum() else "most often"
    missed = format_percent(1 - float(recall[hardest]))
    words = f"{missed} of the {hardest} are missed"
    return f"{words}, {f'{often} ' * (len(mistaken) > 1)}as {mistaken.idxmax()}."


def _contenders(run: Run) -> dict[str, Any]:
    table = contenders(run)
    if len(table) < 2 or run.best is None:
        return {"contenders": None, "contenders_reading": ""}
    is_chosen = table["trial"] == run.best.trial
    chosen, others = table[is_chosen].to_dict("records")[0], table[~is_chosen]
    width = float((others["high"] - others["low"]).max())
    near = others[others["difference"].abs() <= max(_NEAR * width, _LEAST)].head(_MOST)
    marks = [Mark(f"trial {chosen['trial']}", "chosen", "chosen", 0, 0, 0, _score(chosen))]
    for row in near.to_dict("records"):
        kind = "apart" if row["apart"] else "own"
        text = f"{row['difference']:+.4f}"
        name, fate = f"trial {row['trial']}", str(row["fate"])
        marks.append(Mark(name, fate, kind, row["difference"], row["low"], row["high"], text))
    alike, count = int((~others["apart"]).sum()), len(others)
    reading = (
        f"{alike} of the {count} next best trials cannot be told from the chosen one: "
        "their intervals hold 0."
        if alike
        else f"All of the {count} next best trials differ from the chosen one by more than chance."
    )
    if len(near) < count:
        reading += f" The {len(near)} nearest are drawn."
    return {"contenders": Scale.around(marks).drawing(marks), "contenders_reading": reading}


def _score(row: Mapping[Hashable, Any]) -> str:
    return f"{row['objective']:.4f}"


def _examples(
    run: Run, validated: Validated | None, explained: Mapping[int, Explanation]
) -> dict[str, Any]:
    if validated is None:
        return {"groups": [], "explained": False}
    return {"groups": gallery(run, validated, explained), "explained": bool(explained)}
