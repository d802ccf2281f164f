"""The end of `--model all`: a model is chosen among the searches, shipped, and printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.program import tell
from analysis.render.table import to_terminal
from analysis.run_folder.digests import keep_digests, settle
from analysis.run_folder.folder import RunFolder
from analysis.run_folder.io import ResultsError
from analysis.run_folder.run import load
from analysis.tables.comparison import compare_runs
from search.console.answer import print_answer
from search.pipeline.shipped_answer import ship_answer
from search.selection.ensemble import ensemble_size
from search.selection.model_choice import choose_model, comparable
from trainables.evaluation.metrics import decision_score

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rich.console import Console

    from analysis.run_folder.best_model_record import BestModel
    from analysis.run_folder.run import Run
    from search.config.settings import SearchSettings


def give_one_answer(
    folder: RunFolder, searches: Mapping[str, SearchSettings], deadline: float, console: Console
) -> BestModel | None:
    """Choose among the searches of several models, and write the answer to the top of the folder.

    Args:
        folder: The folder of all searches.
        searches: The settings of each, by model, in the order in which they were searched.
        deadline: When all must be done, on the clock of `time.monotonic`; infinity for no limit.
        console: Where to print.

    Returns:
        The content of `best_model.json`; None where no search has a result.
    """
    runs, absent = _load(folder, searches)
    found = comparable(runs)
    if not found.runs:
        return None
    selection = next(iter(searches.values())).selection
    trials = sum(len(run.trials) for run in found.runs.values())
    found = found._replace(left_out=absent | dict(found.left_out))
    best = choose_model(found, ensemble_size(selection, trials))
    keep_digests(folder.path)
    best = ship_answer(folder, best, (runs, searches), deadline, console)
    folder.write_best_model(best)
    note = _write_report(folder)
    settle(folder.path)
    tell(note for run in runs.values() for note in run.notes)
    _print_comparison(console, runs)
    print_answer(console, best, folder, runs[best.model].search.modality)
    tell([note] if note else [])
    return best


def _load(folder: RunFolder, models: Iterable[str]) -> tuple[dict[str, Run], dict[str, str]]:
    """Load the searches that have begun; return them, and why others cannot be had, by model."""
    runs, absent = {}, {}
    for name in models:
        path = folder.path / name
        if not RunFolder(path).holds_search():
            absent[name] = "its search has not begun"
            continue
        try:
            runs[name] = load(path, database=True)
        except ResultsError as error:
            absent[name] = str(error)
    return runs, absent


def _write_report(folder: RunFolder) -> str:
    """Write the report at the top; return why it could not be, or an empty string."""
    try:
        from analysis.report.models import write_models_report  # noqa: PLC0415 - slow to import

        write_models_report(folder)
    except Exception as error:  # noqa: BLE001 - a boundary: whatever it is, the answer is worth more
        return f"no report: {type(error).__name__}: {error}; python -m analysis.report tries again"
    return ""


def _print_comparison(console: Console, runs: Mapping[str, Run]) -> None:
    """Print one table of all searches, with published results unless they are of demo data."""
    first = next(iter(runs.values())).search
    metric = decision_score(first.objective)
    compared = compare_runs(list(runs.values()), metric=metric, reference=not first.data.is_demo)
    console.print()
    to_terminal(compared, console)
