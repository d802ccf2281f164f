"""The report of searches of several models: one self-contained page, which links to theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analysis.render.page import render_page
from analysis.render.table import notes, sortable
from analysis.render.text import (
    chosen_by_others,
    format_count,
    format_millions,
    heading,
    in_how_many,
)
from analysis.report.answer import on_test_set
from analysis.report.scales import Mark, Scale
from analysis.report.trial_table import member_rows
from analysis.run_folder.io import ResultsError, read_json, write_whole
from analysis.run_folder.run import load
from analysis.run_folder.several_models import runs_of
from analysis.tables.comparison import compare_runs, note_of
from analysis.tables.rung_zero import behind
from trainables.evaluation.metrics import decision_score

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from analysis.run_folder.best_model_record import BestModel
    from analysis.run_folder.folder import RunFolder
    from analysis.run_folder.run import Run


def render_models(folder: RunFolder) -> str:
    """Render the searches in a folder, ended or in progress, as one page.

    Args:
        folder: The folder of all searches.

    Returns:
        The page, which fetches nothing from elsewhere.

    Raises:
        ResultsError: If none has begun, or all are damaged.
    """
    runs, damaged = _load(folder)
    best = folder.read_best_model() if folder.best_model.exists() else None
    first = next(iter(runs.values())).search
    objective = best.objective if best else first.objective
    trials = sum(len(run.trials) for run in runs.values())
    shown = {
        "name": folder.path.name,
        "title": f"{len(runs)} models on {first.data.name}",
        "count": len(runs),
        "counts": f"{format_count(trials)} trials · {first.split.folds} folds",
        "metric": heading(objective),
        "best": best,
        "command": read_json(folder.all_models, "").get("command", ""),
        **_models(runs, objective, damaged),
    }
    if best:
        shown |= _answer(best, folder, runs)
    return render_page("models.html", **shown)


def write_models_report(folder: RunFolder) -> Path:
    """Write the report of several models to the top of their folder and return its path."""
    page = render_models(folder)
    write_whole(folder.report, lambda partial: partial.write_text(page, encoding="utf-8"))
    return folder.report


def _load(folder: RunFolder) -> tuple[dict[str, Run], list[str]]:
    """Load the searches, by model; return also what is wrong with those that cannot be."""
    runs, damaged = {}, []
    for path in runs_of(folder.path):
        try:
            runs[path.name] = load(path)
        except ResultsError as error:
            damaged.append(str(error))
    if not runs:
        raise ResultsError("; ".join(damaged))
    return runs, damaged


def _answer(best: BestModel, folder: RunFolder, runs: Mapping[str, Run]) -> dict[str, Any]:
    run = runs.get(best.model)
    note = note_of(run) if run else ""
    marks = [*_marks(best)]
    report = run is not None and run.folder.report.exists()
    return {
        "shown": best.shipped_ensemble or best,
        "headline": _headline(best),
        "forest": Scale.around(marks).drawing(marks),
        "verdicts": list(_verdicts(best, folder)),
        "facts": list(_facts(best, run)),
        "members": member_rows(best.ensemble, best.objective) if best.ensemble else None,
        "warning": f"{note}: scores say nothing about real tweets" if note else "",
        "report": f"{best.model}/report.html" if report else "",
    }


def _headline(best: BestModel) -> str:
    among = f"the best of {len(best.models)} models" if len(best.models) > 1 else "the only model"
    if ensemble := best.shipped_ensemble:
        models = " and ".join(dict.fromkeys(str(one.model) for one in ensemble.members))
        return f"An ensemble of {len(ensemble.members)} configs of {models} ships."
    if best.shipped:
        return f"{best.model} ships, {among}."
    return f"{best.model} leads, {among}; nothing ships, as nothing was trained again."


def _marks(best: BestModel) -> Iterator[Mark]:
    shipped = best.shipped_ensemble
    if ensemble := best.ensemble:
        name, note = f"ensemble of {len(ensemble.members)}", "each fold by what the others select"
        text, kind = f"{ensemble.score:.4f}", "chosen" if shipped else "apart"
        joined = Mark(name, note, kind, ensemble.score, *ensemble.interval, text)
    if shipped:
        yield joined
    if len(best.models) > 1:
        note, kind = (
            "each fold by the model that the others choose",
            "own" if shipped else "chosen",
        )
        yield Mark("choosing a model", note, kind, best.score, *best.interval, f"{best.score:.4f}")
    for one in best.models:
        lost = behind(one.margin or 0, one.margin_error or 0)
        note = one.offers + (f", behind by {lost.lstrip('-')}" if lost else ", chosen")
        kind = "own" if len(best.models) > 1 or shipped else "chosen"
        yield Mark(one.model, note, kind, one.score, *one.interval, f"{one.score:.4f}")
    if best.ensemble and not shipped:
        yield joined


def _verdicts(best: BestModel, folder: RunFolder) -> Iterator[str]:
    yield f"{best.verdict.replace(best.objective, heading(best.objective))}."
    if len(best.models) > 1:
        chose = best.folds_chose
        agreed = in_how_many(best.model, best.model, chose)
        yield (
            f"The score is of choosing among the models;"
            f" {chosen_by_others('model', chose)}{agreed}."
        )
    if best.basis == "searched":
        yield (
            "Nothing was confirmed: each model is scored by the best of its trials on the folds"
            " that chose it, so all scores are optimistic."
        )
    if best.covers:
        yield f"The interval covers {best.covers}."
    if best.ensemble:
        words = best.ensemble.verdict.replace(best.objective, heading(best.objective))
        yield f"{words[0].upper()}{words[1:]}."
    yield from on_test_set(folder)
    for model, why in best.left_out.items():
        yield f"{model} is left out: {why}."


def _facts(best: BestModel, run: Run | None) -> Iterator[tuple[str, str]]:
    if shipped := best.shipped:
        yield "kind", shipped.kind
        yield "parameters", format_millions(shipped.parameters)
    if ensemble := best.shipped_ensemble:
        for member in ensemble.members:
            yield member.name, f"{member.weight:.2f}"
        return
    yield "model", best.model
    yield "from", best.chosen.offers
    for backbone, source in run.search.backbones.items() if run else ():
        yield backbone, source.rstrip("/").rsplit("/", 1)[-1]


def _models(runs: Mapping[str, Run], objective: str, damaged: Sequence[str]) -> dict[str, Any]:
    metric = decision_score(objective)
    found = compare_runs(list(runs.values()), metric=metric, reference=False)
    table = sortable(found)
    for row in table["rows"]:
        name = row[0]["text"]
        if runs[name].folder.report.exists():
            row[0]["link"] = f"{name}/report.html"
    return {"table": table, "notes": [*notes(found), *damaged]}
