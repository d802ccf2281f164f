"""What is printed when several models have been searched and one was chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from analysis.program import counted
from analysis.render.text import chosen_by_others, in_how_many
from search.console.summary import finding_on_test_set, predict_command

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.console import Console

    from analysis.run_folder.best_model_record import BestModel
    from analysis.run_folder.folder import RunFolder
    from trainables.config import Modality


def print_answer(console: Console, best: BestModel, folder: RunFolder, modality: Modality) -> None:
    """Print what ships of several models, how good it is, and where everything is."""
    console.print(f"\n{_headline(best)}", highlight=False)
    for line in _findings(best):
        console.print(line, highlight=False)
    if folder.test_scores.exists():
        tested = finding_on_test_set(best.objective, folder.read_test_scores())
        console.print(tested, highlight=False)
    for name, value in _places(best, folder, modality).items():
        console.print(Text(f"{name:<12} {value}"))


def _headline(best: BestModel) -> str:
    shown = best.shipped_ensemble or best
    score = f"best [bold green]{best.objective} {shown.score:.4f}[/] as {best.basis} by"
    if ensemble := best.shipped_ensemble:
        models = counted(len({member.model for member in ensemble.members}), "model")
        return f"{score} an ensemble of {counted(len(ensemble.members), 'config')} of {models}"
    among = f" among {len(best.models)} models" * (len(best.models) > 1)
    return f"{score} choosing{among}: {best.model}, {best.chosen.offers}"


def _findings(best: BestModel) -> Iterator[str]:
    low, high = best.interval
    covers = f", which covers {best.covers}" if best.covers else ""
    one = "one model, " if best.shipped_ensemble else ""
    yield f"{one}{best.basis} {best.score:.4f}, 95 % interval {low:.4f} to {high:.4f}{covers}"
    if best.basis == "searched":
        yield "scores are of each model's best trial on the folds that chose it, so optimistic"
    if len(best.models) > 1:
        agreed = in_how_many(best.model, best.model, best.folds_chose)
        yield f"{chosen_by_others('model', best.folds_chose)}{agreed}"
    yield best.verdict
    if ensemble := best.ensemble:
        low, high = ensemble.interval
        yield f"{ensemble.verdict}; 95 % interval {low:.4f} to {high:.4f}"
        yield "in it: " + ", ".join(f"{one.name} {one.weight:.2f}" for one in ensemble.members)
    for model, why in best.left_out.items():
        yield f"{model} is left out: {why}"
    if best.shipped:
        yield f"ships: {best.shipped.kind}: {best.shipped.why}"


def _places(best: BestModel, folder: RunFolder, modality: Modality) -> Mapping[str, str]:
    places = {"results": str(folder.path)}
    if folder.report.exists():
        places["report"] = str(folder.report)
    if best.shipped:
        places["model"] = str(folder.model)
        places["predictions"] = str(folder.predictions)
        places["predict"] = predict_command(folder, modality)
    return places
