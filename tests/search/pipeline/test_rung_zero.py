"""Where a search begins after rung zero, and that it is done once."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

import search.pipeline.rung_zero as module
from analysis.run_folder.io import write_json
from search.config.plan import make_plan
from search.config.settings import parse
from search.errors import WorkError
from search.pipeline.run_record import search_record
from search.pipeline.rung_zero import Ground, begin_with_rung_zero, best_read, table_of
from search.pipeline.workflow import prepare
from search.study.space import distributions
from trainables.evaluation.classes import SENTIMENTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from search.cluster.tasks import Task
    from search.config.plan import Plan

COUNT = 150
WORDS = "--model late_fusion --backbone text=tiny --modality text --trials 8 --fix lexicon=false"


class FakeRunner:
    """Says what is right of some values of `text_pooling`, more or less surely."""

    sure: ClassVar[dict[str, float]] = {}
    tasks: ClassVar[list[Task]] = []
    labels = np.arange(COUNT) % 3

    def __init__(self, *_: Any) -> None:
        pass

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[int, Any]]:
        self.tasks.extend(tasks)
        for k, task in reversed(list(enumerate(tasks))):  # they end in any order
            yield k, self.probabilities(**task.arguments)

    def probabilities(self, fold: Any, params: dict[str, Any]) -> Any:
        random = np.random.default_rng([fold.val[0], len(params["text_pooling"])])
        logits = random.normal(size=(len(fold.val), 3))
        logits += self.sure[params["text_pooling"]] * np.eye(3)[self.labels[fold.val]]
        return (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(autouse=True)
def runner(monkeypatch: pytest.MonkeyPatch) -> type[FakeRunner]:
    monkeypatch.setattr(module, "TaskRunner", FakeRunner)
    monkeypatch.setattr(FakeRunner, "sure", {"cls": 1.0, "mean": 1.0})
    monkeypatch.setattr(FakeRunner, "tasks", [])
    return FakeRunner


@pytest.fixture
def begun(tmp_path: Path) -> Any:
    """Plan a search on texts, and what its rung zero stands on."""
    path = tmp_path / "texts.csv"
    with path.open("w", newline="") as file:
        rows = [[f"{n:03d}", f"text number {n}", SENTIMENTS.names[n % 3]] for n in range(COUNT)]
        csv.writer(file).writerows([["guid", "text", "tag"], *rows])

    def begin(words: str = "--folds 5") -> tuple[Plan, Ground]:
        command = f"{WORDS} --data {path} --out {tmp_path / 'run'} {words}"
        plan = make_plan(parse(command.split()))
        experiment = prepare(plan)
        record = search_record(plan, experiment.corpus, experiment.folds, {}, {})
        plan.folder.write_search(record)
        console = Console(file=io.StringIO(), width=300)
        return plan, Ground(experiment, record, None, math.inf, console)  # type: ignore[arg-type]

    return begin


def printed(ground: Ground) -> str:
    text: str = ground.console.file.getvalue()  # type: ignore[attr-defined]
    return text


def test_a_search_begins_with_the_best_combination_beside_the_hand_tuned_config(
    begun: Any, runner: type[FakeRunner]
) -> None:
    runner.sure |= {"cls": 1.3}  # the hand-tuned config reads the mean
    plan, ground = begun()
    after = begin_with_rung_zero(plan, ground)
    assert after.hand_tuned == plan.hand_tuned
    assert [dict(one.params) for one in after.warm_start] == [
        dict(plan.hand_tuned) | {"text_pooling": "cls"}
    ]
    assert after.warm_start[0].origin == (
        "the hand-tuned config with text_pooling=cls, by rung zero"
    )
    assert best_read(plan) == {"text_pooling": "cls"}
    assert distributions(after.space) == distributions(plan.space)
    table = plan.folder.read_rung_zero()
    assert table["config/text_pooling"].tolist() == ["cls", "mean"]
    assert "rung zero: 2 logistic regressions" in printed(ground)
    assert not any(task.on_gpu for task in runner.tasks), "their processes outlive them"
    assert "text_pooling" in printed(ground)
    kept = plan.folder.read_rung_zero_probabilities()
    assert len(kept) == 2 * COUNT
    assert sorted(kept.loc[kept["combination"] == 1, "row"]) == list(range(COUNT))


def test_hopeless_choices_leave_the_space_with_a_sentence(
    begun: Any, runner: type[FakeRunner]
) -> None:
    runner.sure |= {"mean": 0.0, "cls": 4.0}
    plan, ground = begun()
    after = begin_with_rung_zero(plan, ground)
    assert distributions(after.space)["text_pooling"].choices == ("cls",)  # type: ignore[attr-defined]
    assert after.hand_tuned == dict(plan.hand_tuned) | {"text_pooling": "cls"}
    assert "rung zero leaves text_pooling=mean out of the space: " in printed(ground)


def test_it_is_done_once(begun: Any, runner: type[FakeRunner]) -> None:
    runner.sure |= {"mean": 0.0, "cls": 4.0}
    plan, ground = begun()
    first = begin_with_rung_zero(plan, ground)
    count = len(runner.tasks)
    assert count == 2 * 5
    again = begin_with_rung_zero(replace(plan, resumed=True), ground)
    assert len(runner.tasks) == count
    assert distributions(again.space) == distributions(first.space)
    assert again.warm_start == first.warm_start


def test_without_rung_zero_nothing_is_compared(begun: Any, runner: type[FakeRunner]) -> None:
    plan, ground = begun("--no-rung-zero")
    assert begin_with_rung_zero(plan, ground) is plan
    assert runner.tasks == []
    assert best_read(plan) == {"lexicon": False}


def test_nor_without_a_cache(begun: Any, runner: type[FakeRunner]) -> None:
    plan, ground = begun("--no-cache")
    assert begin_with_rung_zero(plan, ground) is plan
    assert runner.tasks == []


def test_nor_where_all_trials_read_the_same(begun: Any, runner: type[FakeRunner]) -> None:
    plan, ground = begun("--fix text_pooling=cls")
    assert begin_with_rung_zero(plan, ground) is plan
    assert runner.tasks == []


def test_a_search_of_an_older_version_goes_on_in_the_space_that_it_began_in(
    begun: Any, runner: type[FakeRunner]
) -> None:
    plan, ground = begun()
    record = json.loads(plan.folder.search.read_text())
    del record["settings"]["tuning"]["rung_zero"]
    write_json(plan.folder.search, record)
    resumed = replace(plan, resumed=True)
    assert begin_with_rung_zero(resumed, ground) is resumed
    assert runner.tasks == []


def test_a_search_goes_on_without_rung_zero_when_a_fit_fails(
    begun: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeRunner, "probabilities", lambda *_, **__: WorkError("no memory"))
    plan, ground = begun()
    assert begin_with_rung_zero(plan, ground) is plan
    assert "rung zero is left out: no memory" in printed(ground)
    assert plan.folder.read_stages() == {}


def test_it_takes_no_more_than_a_tenth_of_the_time(begun: Any) -> None:
    plan, ground = begun()
    over = replace(ground, deadline=0.0)  # on a clock that began before
    assert begin_with_rung_zero(plan, over) is plan
    assert "rung zero is left out: the time budget is too short for it" in printed(over)


def test_the_terminal_shows_the_best_of_many_with_all_that_varies() -> None:
    standing = pd.DataFrame(
        {
            "config/lexicon": [True] * 10 + [False] * 4,
            "config/text_pooling": ["mean"] * 14,
            "loss": np.linspace(0.6, 0.7, 14),
            "loss_behind": np.linspace(0, 0.1, 14),
            "loss_error": 0.01,
            "objective": np.linspace(0.7, 0.6, 14),
            "objective_behind": np.linspace(0, 0.1, 14),
            "objective_error": 0.01,
            "hopeless": False,
        }
    )
    console = Console(file=io.StringIO(), width=100)
    console.print(table_of(standing, "weighted F1"))
    lines = [line.strip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]
    assert lines[0].split()[:2] == ["lexicon", "log-loss"], "the column that varies below the best"
    assert len(lines) == 1 + 10 + 1
    assert lines[-1] == "and 4 more, in rung_zero.csv and in the report"
