"""The step before the first trial: the result of rung zero decides where the search begins.

It is done once: a resumed search takes the result that it began with, as the choices of a study
must not change during it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any

from rich.table import Table

from analysis.tables.rung_zero import behind, columns_of
from search.cluster.tasks import TaskRunner
from search.errors import WorkError
from search.pipeline.stages import once
from search.selection.baseline import regressions
from search.selection.candidates import rule_of
from search.selection.rung_zero import (
    Truth,
    hopeless_choices,
    sentences,
    spelt,
    standings,
    standings_table,
    starts,
)
from search.study.combinations import combinations
from search.study.frozen_first import frozen_params
from search.study.warm_start import WarmStart
from trainables.data.splits import duplicate_groups

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from rich.console import Console

    from analysis.run_folder.search_record import Search as SearchRecord
    from search.cluster.resources import TrialResources
    from search.config.plan import Plan
    from search.study.combinations import Combination
    from trainables.experiment import Experiment

_STAGE = "rung_zero"
_SHOWN = 10  # combinations, in the terminal
_MOST_STARTS = 3
_TRIALS_PER_START = 4  # a short search is not to be filled with them
_BUDGET_SHARE = 0.1


@dataclass(frozen=True)
class Ground:
    """What rung zero needs besides the plan.

    Attributes:
        experiment: What the search holds fixed.
        record: The content of `search.json`.
        resources: What one worker gets, and how many there are.
        deadline: When all must be done, on the clock of `time.monotonic`.
        console: Where to show progress.
    """

    experiment: Experiment
    record: SearchRecord
    resources: TrialResources
    deadline: float
    console: Console


def begin_with_rung_zero(plan: Plan, ground: Ground) -> Plan:
    """Compare what trials can read, and begin the search with the best of it.

    Returns:
        The plan, its space without hopeless choices and with more to begin with; unchanged where
        there is nothing to compare or the time budget is too short.
    """
    found = readable(plan)
    if not is_wanted(plan) or len(found) < 2:
        return plan
    record = ground.record
    depends_on = {
        "combinations": [dict(one.params) for one in found],
        "backbones": record.backbone_fingerprints,
        "inputs": record.inputs,
        "data": record.data.digest,
        "split": record.split.digest,
        "objective": record.objective,
    }
    leaves = plan.folder.rung_zero, plan.folder.rung_zero_probabilities
    try:
        work = partial(_compare, plan, ground, found)
        result = once(plan.folder, _STAGE, depends_on, work, leaves)
    except WorkError as error:
        ground.console.print(f"rung zero is left out: {error}", highlight=False)
        return plan
    ground.console.print(table_of(plan.folder.read_rung_zero(), rule_of(plan).score))
    for sentence in result["sentences"]:
        ground.console.print(sentence, highlight=False)
    return _begun(plan, result)


def readable(plan: Plan) -> list[Combination]:
    """List the combinations that trials can read, nearest to the hand-tuned config first."""
    return combinations(plan.variant, plan.space, plan.settings.modality, plan.hand_tuned)


def best_read(plan: Plan) -> dict[str, Any]:
    """Return rung zero's best combination; without rung zero, the values that the search fixes."""
    kept = plan.folder.read_stages().get(_STAGE)
    return dict(kept.result["best"]) if kept else dict(plan.overrides.fixed)


def is_wanted(plan: Plan) -> bool:
    """Return whether to run rung zero: asked for and cheap, or as a resumed search began."""
    if not plan.resumed:
        # Without a cache, every fit would run whole towers: that is not cheap.
        return plan.settings.tuning.rung_zero and plan.cache is not None
    if _STAGE in plan.folder.read_stages():
        return True
    # An older run was begun without, and its study holds the choices that it was begun with.
    asked = plan.folder.read_search().settings.everything["tuning"].get("rung_zero", False)
    return bool(asked) and plan.cache is not None


def _compare(plan: Plan, ground: Ground, found: Sequence[Combination]) -> dict[str, Any]:
    """Fit, rank and write; return what the search is to begin with, JSON-ready."""
    experiment, now = ground.experiment, time.monotonic()
    until = inf if ground.deadline == inf else now + _BUDGET_SHARE * (ground.deadline - now)
    runner = TaskRunner(experiment, ground.resources)
    words = f"rung zero: {len(found)} logistic regressions on frozen activations"
    reads, shown = [one.params for one in found], (words, ground.console)
    probabilities = regressions(runner, plan, reads, experiment.folds, shown, until)
    corpus, rule = experiment.corpus, rule_of(plan)
    groups = duplicate_groups(corpus.labelled)
    truth = Truth(corpus.labels, groups, plan.folds, plan.classes)
    order = standings(probabilities, found, rule.score, rule.sign, truth)
    left_out = hopeless_choices(order, found)
    plan.folder.write_rung_zero(standings_table(order))
    plan.folder.write_rung_zero_probabilities(probabilities)
    frozen = frozen_params(plan.space, plan.backbones)
    most = min(_MOST_STARTS, plan.settings.trials // _TRIALS_PER_START)
    return {
        "best": dict(order[0].params),
        "left_out": {name: sorted(values, key=str) for name, values in left_out.items()},
        "sentences": sentences(order, found, left_out, rule.score),
        "starts": [dict(one) for one in starts(order, plan.hand_tuned, frozen, most)],
    }


def _begun(plan: Plan, result: Mapping[str, Any]) -> Plan:
    """Begin with the best combinations, in a space without the hopeless choices."""
    best, left_out = result["best"], result["left_out"]
    space = plan.space.leave_out(left_out)
    moved = {n: best[n] for n in left_out if plan.hand_tuned.get(n) in left_out[n]}
    more = [WarmStart(space.inside(one), _origin(best, one)) for one in result["starts"]]
    warm = [one._replace(params=space.inside(one.params)) for one in plan.warm_start]
    return replace(
        plan,
        space=space,
        hand_tuned=space.inside(dict(plan.hand_tuned) | moved),
        warm_start=(*warm, *more),
    )


def _origin(best: Mapping[str, Any], params: Mapping[str, Any]) -> str:
    words = ", ".join(f"{name}={spelt(params[name])}" for name in best)
    return f"the hand-tuned config with {words}, by rung zero"


def table_of(standing: pd.DataFrame, metric: str) -> Table:
    """Make a terminal table of the best of `rung_zero.csv`, the best first."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", caption_justify="left")
    if (others := len(standing) - _SHOWN) > 0:
        table.caption = f"and {others} more, in rung_zero.csv and in the report"
    names = columns_of(standing)
    for name in names:
        table.add_column(name.removeprefix("config/"))
    for name in ("log-loss", "behind", metric, "behind"):
        table.add_column(name, justify="right")
    for row in standing.head(_SHOWN).to_dict("records"):
        cells = [spelt(row[name]) for name in names]
        for key in ("loss", "objective"):
            cells += [f"{row[key]:.4f}", behind(row[f"{key}_behind"], row[f"{key}_error"])]
        table.add_row(*cells, style="dim" if row["hopeless"] else None)
    return table
