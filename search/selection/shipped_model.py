"""What ships of several searched models: a copy of the chosen one's model and predictions."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np

from analysis.render.text import chosen_by_others
from analysis.run_folder.best_model_record import ShippedModel
from analysis.tables.rung_zero import behind
from search.selection.final_model import CARD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from analysis.run_folder.best_model_record import BestModel
    from analysis.run_folder.folder import RunFolder
    from analysis.run_folder.run import Run

AMONG = "Chosen among models"
_LIMITS = "## Limits"


def ship_chosen(folder: RunFolder, best: BestModel, run: Run) -> ShippedModel:
    """Copy the chosen model with its card and its predictions to the top of the folder.

    Args:
        folder: The folder of all searches.
        best: The choice among them.
        run: The search of the chosen model, which has trained its final model.

    Returns:
        What ships.
    """
    assert run.best is not None
    assert run.best.final is not None
    partial = folder.model.with_name(f"{folder.model.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(run.folder.model, partial)
    card = (partial / CARD).read_text(encoding="utf-8")
    (partial / CARD).write_text(card_among_models(card, best), encoding="utf-8")
    shutil.rmtree(folder.model, ignore_errors=True)
    partial.rename(folder.model)
    predicted, probabilities = run.folder.read_predictions(), run.folder.read_probabilities()
    folder.write_predictions(predicted["guid"].tolist(), predicted["tag"].tolist())
    shown = probabilities[list(run.classes.names)].to_numpy(np.float32)
    folder.write_probabilities(probabilities["guid"].tolist(), shown, run.classes)
    if run.folder.test_scores.exists():
        folder.write_test_scores(run.folder.read_test_scores())
    final = run.best.final
    why = f"the model of {best.model}"
    return ShippedModel(kind=final.kind, why=why, parameters=final.parameters)


def card_among_models(card: str, best: BestModel) -> str:
    """Add to the card of a model how it was chosen among others, in Markdown."""
    section = "\n".join([f"## {AMONG}", "", among_models(best), ""])
    before, limits, after = card.partition(_LIMITS)
    return f"{before}{section}\n{limits}{after}"


def among_models(best: BestModel) -> str:
    """Describe the choice among models, in Markdown."""
    return "\n".join(_among(best))


def _among(best: BestModel) -> Iterator[str]:
    low, high = best.interval
    optimistic = " (as searched, so optimistic)" * (best.basis == "searched")
    yield (
        f"The {best.objective} of choosing among {len(best.models)} models is {best.score:.4f}"
        f"{optimistic}, 95 % bootstrap interval {low:.4f} to {high:.4f}:"
        f" {chosen_by_others('model', best.folds_chose)}. In words: {best.verdict}."
    )
    yield from ("", f"| model | {best.objective} | 95 % interval | behind |", "|---|---|---|---|")
    for one in best.models:
        low, high = one.interval
        lost = behind(one.margin or 0, one.margin_error or 0)
        yield f"| {one.model} | {one.score:.4f} | {low:.4f} to {high:.4f} | {lost} |"
    if best.ensemble:
        yield from ("", f"{best.ensemble.verdict[0].upper()}{best.ensemble.verdict[1:]}.")
