"""The card of an ensemble of several models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from search.selection.model_card import (
    calibration_words,
    common_limits,
    member_table,
    score_row,
    source_name,
    test_section,
    write_card,
)
from search.selection.shipped_model import AMONG, among_models
from trainables.evaluation.metrics import headlines

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from analysis.run_folder.best_model_record import BestModel
    from analysis.run_folder.best_record import Ensemble
    from analysis.run_folder.run import Run
    from analysis.run_folder.test_record import TestScores
    from trainables.evaluation.classes import Classes


def joined_card(runs: Mapping[str, Run], best: BestModel, tested: TestScores | None = None) -> str:
    """Write the card of an ensemble of several models, in Markdown.

    Args:
        runs: Their searches, by model.
        best: The choice among them, with its `ensemble`.
        tested: Its scores on a labelled test set; None where the data have none.

    Returns:
        The card.
    """
    ensemble = best.ensemble
    assert ensemble is not None
    classes = runs[best.model].classes
    models = list(dict.fromkeys(str(member.model) for member in ensemble.members))
    sections = {
        "Model": "\n".join(_model(runs, models, best, ensemble)),
        "Scores": "\n".join(_scores(best, ensemble, classes))
        + f"\n\n{test_section(tested, classes)}".rstrip(),
        AMONG: among_models(best),
        "Decision": _decision(ensemble, classes),
        "Limits": "\n".join(common_limits(classes)),
    }
    first = runs[models[0]].search
    random = tuple(dict.fromkeys(r for m in models for r in runs[m].search.random_backbones))
    subject = f"an ensemble of {' and '.join(models)}"
    return write_card(subject, first, sections, random)


def _model(
    runs: Mapping[str, Run], models: list[str], best: BestModel, ensemble: Ensemble
) -> Iterator[str]:
    largest = best.shipped.parameters if best.shipped else 0
    yield (
        f"An ensemble of {len(ensemble.members)} configs, whose probabilities are averaged by"
        f" weight; each is trained on all labelled pairs, the largest has {largest:,} parameters."
        " A prediction embeds a pair once for all that read it alike. Backbones:"
    )
    yield ""
    for model in models:
        sources = runs[model].search.backbones.items()
        named = (f"{role} `{source_name(source)}`" for role, source in sources)
        yield f"- {model}: {', '.join(named)}"
    yield ""
    yield from member_table(ensemble)


def _decision(ensemble: Ensemble, classes: Classes) -> str:
    fallback = classes.fallback_name
    if fallback is None:
        return f"The most probable class.{calibration_words(ensemble.temperature)}"
    return (
        f"{fallback[0].upper()}{fallback[1:]} when {classes.unlikely} under"
        f" {ensemble.neutral_threshold:.3f}, else the most probable class."
        + calibration_words(ensemble.temperature, "After that the")
    )


def _scores(best: BestModel, ensemble: Ensemble, classes: Classes) -> Iterator[str]:
    yield "| | ensemble, confirmed | one model, confirmed |"
    yield "|---|---|---|"
    for name in headlines(classes):
        cells = [scores.get(f"val_{name}") for scores in (ensemble.scores, best.scores)]
        shown = ("" if value is None else f"{value:.3f}" for value in cells)
        yield score_row(name, shown)
    low, high = ensemble.interval
    covers = f" It covers {ensemble.covers}." if ensemble.covers else ""
    yield ""
    yield (
        f"The confirmed {best.objective} is {ensemble.score:.4f}, 95 % bootstrap interval"
        f" {low:.4f} to {high:.4f}: each fold is scored by the ensemble that the other folds"
        f" select.{covers}"
    )
