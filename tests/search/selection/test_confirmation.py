"""What is kept of configs that were trained again, worked out by hand from scripted answers."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from rich.console import Console

from search.errors import WorkError
from search.selection.baseline import measure_baseline
from search.selection.candidates import fresh_seed
from search.selection.confirmation import confirm
from tests.search.selection.test_candidates import corpus_of, plan_of, record
from trainables.data.sample import Corpus, Fold, Sample
from trainables.seeds import stream_seed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from search.cluster.tasks import Task

QUIET = Console(quiet=True)
ROWS = np.arange(60)
FOLDS = tuple(Fold(ROWS[k != ROWS // 3 % 3], ROWS[k == ROWS // 3 % 3]) for k in range(3))
EYE = np.eye(3, dtype=np.float32)
READ = {"lexicon": True}


class ScriptedRunner:
    """Answers tasks in the reverse order."""

    def __init__(self, answer: Callable[[Task], Any]) -> None:
        self.answer = answer
        self.tasks: list[Task] = []

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[int, Any]]:
        self.tasks += tasks
        for index in reversed(range(len(tasks))):
            yield index, self.answer(tasks[index])


def course(task: Task, right: Sequence[float]) -> dict[str, Any]:
    """An answer that is right in the given shares of the fold's samples, epoch by epoch."""
    labels, fold = corpus_of().labels, task.arguments["fold"]
    epochs = []
    for share in right:
        said = (labels[fold.val] + 1) % 3
        hits = round(share * len(said))
        said[:hits] = labels[fold.val][:hits]
        epochs.append(EYE[said])
    unlabelled = np.stack([np.full((2, 3), epoch, np.float32) for epoch in range(len(right))])
    return {"validated": np.stack(epochs), "unlabelled": unlabelled, "diverged": ""}


def number_of(task: Task) -> int:
    return next(k for k, fold in enumerate(FOLDS) if fold is task.arguments["fold"])


def with_unlabelled() -> Corpus:
    corpus = corpus_of()
    rest = tuple(Sample(guid, "", corpus.labelled[0].image, "") for guid in ("007", "8"))
    return Corpus("made", corpus.labelled, rest)


def test_each_fold_is_scored_at_the_epoch_that_the_others_choose(tmp_path: Path) -> None:
    plan = plan_of("--folds 3 --metric val_accuracy --seed 5", tmp_path)
    shares = [(0.9, 0.5, 0.1), (0.5, 0.6, 0.1), (0.5, 0.8, 0.2)]
    runner: Any = ScriptedRunner(lambda task: course(task, shares[number_of(task)]))
    one = record(4, "finished", 0.1, 0.2, 0.3)
    assert confirm(runner, plan, with_unlabelled(), FOLDS, [one], QUIET) == []
    # Sums of the others, by epoch: 1.0 and 1.4; 1.4 and 1.3; 1.4 and 1.1.
    kept = plan.folder.read_confirmation(4)
    assert kept.groupby("fold")["epoch"].unique().map(list).tolist() == [[2], [1], [1]]
    courses = plan.folder.read_courses(4)
    assert courses["epoch"].value_counts().to_dict() == {1: 60, 2: 60, 3: 60}
    assert kept["row"].tolist() == np.concatenate([fold.val for fold in FOLDS]).tolist()
    assert set(kept["repeat"]) == {0}
    test = plan.folder.read_test_probabilities(4)
    assert test["guid"].tolist() == ["007", "8"]
    assert test["positive"].tolist() == pytest.approx([1 / 3, 1 / 3])  # epochs 1, 0 and 0
    seeds = [task.arguments["seed"] for task in runner.tasks]
    assert seeds == [stream_seed(fresh_seed(plan), number) for number in range(3)]
    assert {task.arguments["epochs"] for task in runner.tasks} == {3}


def test_what_is_confirmed_already_is_left_alone(tmp_path: Path) -> None:
    plan = plan_of("--folds 3", tmp_path)
    runner: Any = ScriptedRunner(lambda task: course(task, (0.9,)))
    picked = [record(1, "finished", 0.1), record(2, "finished", 0.1)]
    confirm(runner, plan, corpus_of(), FOLDS, picked[:1], QUIET)
    before = plan.folder.confirmation(1).stat().st_mtime_ns
    confirm(runner, plan, corpus_of(), FOLDS, picked, QUIET)
    assert plan.folder.confirmation(1).stat().st_mtime_ns == before
    assert len(runner.tasks) == 6


def test_a_config_that_crashes_or_diverges_is_told_and_the_others_are_kept(tmp_path: Path) -> None:
    plan = plan_of("--folds 3", tmp_path)

    def answer(task: Task) -> Any:
        match task.arguments["params"]["rate"], number_of(task):
            case 0.1, 1:
                return WorkError("killed")
            case 0.2, 2:
                return {"validated": np.empty((0, 20, 3)), "diverged": "training loss is nan"}
        return course(task, (0.9, 0.8))

    runner: Any = ScriptedRunner(answer)
    console = Console(file=io.StringIO(), width=200)
    answered: list[str] = []  # what had been said when the last fold was trained
    run = runner.run
    runner.run = lambda tasks: (
        answered.append(console.file.getvalue()) or one  # type: ignore[attr-defined]
        for one in run(tasks)
    )
    picked = [record(n, "finished", 0.1, 0.2) for n in (1, 2, 3)]
    notes = confirm(runner, plan, corpus_of(), FOLDS, picked, console)
    assert "trial 1 could not be confirmed: killed" in answered[-1]
    assert sorted(notes) == [
        "trial 1 could not be confirmed: killed",
        "trial 2 could not be confirmed: training loss is nan",
    ]
    assert [plan.folder.confirmation(n).exists() for n in (1, 2, 3)] == [False, False, True]


def test_the_baseline_is_kept_once(tmp_path: Path) -> None:
    plan = plan_of("--folds 3", tmp_path)
    runner: Any = ScriptedRunner(lambda task: EYE[corpus_of().labels[task.arguments["fold"].val]])
    assert measure_baseline(runner, plan, FOLDS, READ, QUIET) == []
    baseline = plan.folder.read_baseline()
    assert baseline["fold"].value_counts().to_dict() == {0: 21, 1: 21, 2: 18}
    assert (baseline["positive"].to_numpy() == (corpus_of().labels[baseline["row"]] == 0)).all()
    assert measure_baseline(runner, plan, FOLDS, READ, QUIET) == []
    assert len(runner.tasks) == 3
    assert [task.arguments["params"] for task in runner.tasks] == [READ] * 3


def test_a_baseline_that_cannot_be_had_is_told(tmp_path: Path) -> None:
    plan = plan_of("--folds 3", tmp_path)
    runner: Any = ScriptedRunner(lambda _: WorkError("out of memory"))
    (note,) = measure_baseline(runner, plan, FOLDS, READ, QUIET)
    assert "out of memory" in note
    assert not plan.folder.baseline.exists()
