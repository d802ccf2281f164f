"""What ships of several models: an ensemble of them where that is better, or the best one."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from analysis.run_folder.best_model_record import ShippedModel
from analysis.run_folder.records import read_record, to_json
from search.config.plan import make_plan
from search.errors import ClusterError, WorkError
from search.pipeline.joined_model import (
    members_by_model,
    publish_joined,
    seconds_to_join,
    write_joined,
)
from search.pipeline.stages import once
from search.selection.shipped_model import ship_chosen
from trainables.inference.about import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from rich.console import Console

    from analysis.run_folder.best_model_record import BestModel
    from analysis.run_folder.folder import RunFolder
    from analysis.run_folder.run import Run
    from search.config.settings import SearchSettings

    Searches = tuple[Mapping[str, Run], Mapping[str, SearchSettings]]


def ship_answer(
    folder: RunFolder, best: BestModel, of: Searches, deadline: float, console: Console
) -> BestModel:
    """Write the model at the top of the folder of several searches, with its predictions.

    It is an ensemble of several models where that is asked for, or better by more than its
    standard error; where it cannot be trained, it is the best model. What has not changed since
    it was shipped stays as it is.

    Args:
        folder: The folder.
        best: The choice among the models.
        of: The searches and their settings, by model.
        deadline: When all must be done, on the clock of `time.monotonic`.
        console: Where to show progress.

    Returns:
        The same with `shipped`; without where no model was trained.
    """
    runs, searches = of
    asked = next(iter(searches.values())).selection.final == "ensemble"
    ensemble = best.ensemble
    if ensemble and len(ensemble.members) > 1 and (asked or ensemble.preferred):
        try:
            shipped = _ship_ensemble(folder, best, of, deadline, console)
            return replace(best, shipped=shipped)
        except (WorkError, ClusterError, ModelError) as error:
            console.print(f"{error}; the best model ships alone", highlight=False)
    run = runs[best.model]
    if run.best is None or run.best.final is None or not run.folder.model.is_dir():
        return best
    ground = {"chosen": to_json(run.best), "choice": to_json(best)}
    return replace(best, shipped=_once(folder, ground, lambda: ship_chosen(folder, best, run)))


def _ship_ensemble(
    folder: RunFolder, best: BestModel, of: Searches, deadline: float, console: Console
) -> ShippedModel:
    runs, searches = of
    ensemble = best.ensemble
    assert ensemble is not None
    plans = {
        name: make_plan(replace(searches[name], resume=runs[name].folder.path))
        for name in dict.fromkeys(str(member.model) for member in ensemble.members)
    }
    members = members_by_model(ensemble, plans)
    slots = min(runs[name].search.hardware.slots for name in members)

    def work() -> ShippedModel:
        if seconds_to_join(members, slots) > deadline - time.monotonic():
            msg = "the time budget is not enough for an ensemble of several models"
            raise WorkError(msg)
        written = write_joined(folder, ensemble, members, console)
        return publish_joined(folder, best, runs, written)

    ground = {
        "choice": to_json(best),
        "params": {name: [dict(t.params) for t in one.trials] for name, one in members.items()},
        "seeds": [plan.settings.selection.final_seeds for plan in plans.values()],
    }
    return _once(folder, ground, work)


def _once(
    folder: RunFolder, ground: Mapping[str, Any], work: Callable[[], ShippedModel]
) -> ShippedModel:
    leaves = [folder.model, folder.predictions, folder.probabilities]
    result = once(folder, "ship", ground, lambda: to_json(work()), leaves)
    return read_record(folder.stages, result, ShippedModel)
