"""What ships when the chosen config cannot be trained again."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from rich.console import Console

from analysis.run_folder.best_record import Final
from search.errors import WorkError
from search.pipeline.after_trials import ship_the_best_that_trains
from search.selection.final_model import UntrainableError
from tests.analysis.synthetic import CHOSEN
from tests.records import best_of
from tests.search.selection.test_candidates import plan_of
from trainables.evaluation.classes import SENTIMENTS

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from analysis.run_folder.best_record import Best
    from search.config.plan import Plan


class Scripted:
    """Trials in their order, of which some cannot be trained."""

    def __init__(self, plan: Plan, diverging: set[int], count: int = 9) -> None:
        self.plan, self.diverging, self.count = plan, diverging, count
        self.tried: list[int] = []
        self.console = Console(file=io.StringIO(), width=200)

    def choose(self, failed: Collection[int]) -> Best | None:
        left = [trial for trial in range(self.count) if trial not in failed]
        return best_of(**CHOSEN | {"trial": left[0]}) if left else None

    def train(self, best: Best) -> Best:
        self.tried.append(best.trial)
        if best.trial in self.diverging:
            msg = f"no model of trial {best.trial} could be trained: loss is nan"
            raise UntrainableError(msg)
        self.plan.folder.model.mkdir(parents=True, exist_ok=True)
        self.plan.folder.write_predictions([], [])
        self.plan.folder.write_probabilities([], np.empty((0, 3), np.float32), SENTIMENTS)
        return replace(best, final=Final(kind="refit"))

    def ship(self) -> tuple[Best, list[str]]:
        return ship_the_best_that_trains(self.plan, self.choose, self.train, self.console)


def test_the_next_config_ships_where_the_best_one_diverges(tmp_path: Path) -> None:
    plan = plan_of("", tmp_path)
    script = Scripted(plan, {0, 1})
    shipped, notes = script.ship()
    assert shipped.trial == 2
    assert notes == [f"no model of trial {n} could be trained: loss is nan" for n in (0, 1)]
    said = script.console.file.getvalue()  # type: ignore[attr-defined]
    assert "no model of trial 0 could be trained: loss is nan; the next best is tried" in said
    # A search that goes on has its model already, and tries none of them again.
    again = Scripted(plan, {0, 1})
    assert again.ship() == (shipped, notes)
    assert again.tried == []


def test_a_failure_of_all_is_told_and_tried_again_when_the_search_goes_on(
    tmp_path: Path,
) -> None:
    plan = plan_of("", tmp_path)
    with pytest.raises(WorkError, match=r"trial 0 .*; no model of trial 1 "):
        Scripted(plan, {0, 1}, count=2).ship()
    shipped, notes = Scripted(plan, set(), count=2).ship()  # with more memory, say
    assert (shipped.trial, notes) == (0, [])


def test_many_failures_have_one_cause_and_end_the_search_for_a_model(tmp_path: Path) -> None:
    script = Scripted(plan_of("", tmp_path), set(range(99)), count=99)
    with pytest.raises(WorkError):
        script.ship()
    assert script.tried == [0, 1, 2, 3, 4]
