"""What is printed when several models have been searched and one was chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from search.console.summary import finding_on_test_set, predict_command

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.console import Console

    from analysis.run_folder.best_model_record import BestModel
    from analysis.run_folder.folder import RunFolder
    from trainables.config import Modality


def print_answer(console: Console, best: BestModel, folder: RunFolder, modality: Modality) -> None:
    """Print which model was chosen, how good that choice is, and where everything is."""
    count = len(best.models)
    chosen = next(one for one in best.models if one.model == best.model)
    score = f"[bold green]{best.objective} {best.score:.4f}[/]"
    among = f" among {count} models" * (count > 1)
    console.print(
        f"\nbest {score} as {best.basis} by choosing{among}: {best.model}, {chosen.offers}",
        highlight=False,
    )
    for line in _findings(best):
        console.print(line, highlight=False)
    if folder.test_scores.exists():
        tested = finding_on_test_set(best.objective, folder.read_test_scores())
        console.print(tested, highlight=False)
    for name, value in _places(best, folder, modality).items():
        console.print(Text(f"{name:<12} {value}"))


def _findings(best: BestModel) -> Iterator[str]:
    low, high = best.interval
    covers = f", which covers {best.covers}" if best.covers else ""
    yield f"{best.basis} {best.score:.4f}, 95 % interval {low:.4f} to {high:.4f}{covers}"
    if best.basis == "searched":
        yield "scores are of each model's best trial on the folds that chose it, so optimistic"
    if len(best.models) > 1:
        agreed = best.folds_chose.count(best.model)
        yield (
            f"each fold is scored by the model that the other folds choose: {best.model} in"
            f" {agreed} of {len(best.folds_chose)}"
        )
    yield best.verdict
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
