"""What ships, and why; the trainings themselves are tested in trainables."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from search.cluster.tasks import assemble, train_member, validate_joining
from search.errors import SettingsError, WorkError
from search.selection.candidates import fresh_seed
from search.selection.final_model import UntrainableError, preferred, ship
from tests.analysis.synthetic import SEARCHED
from tests.records import best_of, read_best, write_search
from tests.search.selection.test_candidates import plan_of
from tests.search.selection.test_confirmation import EYE, FOLDS, ScriptedRunner, with_unlabelled
from trainables.evaluation.classes import SENTIMENTS
from trainables.seeds import stream_seed
from trainables.tasks.final_member import FinalMember

if TYPE_CHECKING:
    from pathlib import Path

    from search.cluster.tasks import Task
    from search.config.plan import Plan

QUIET = Console(quiet=True)
LABELS = with_unlabelled().labels
ROWS = np.concatenate([fold.val for fold in FOLDS])
BEST = {
    "objective": "val_accuracy",
    "mode": "max",
    "trial": 3,
    "params": {"neutral_threshold": 0.4},
    "why": "the best",
    "best_epoch": 2,
    "score": 0.8,
    "scores": {"val_accuracy": 0.8},
    "confirmed": {"score": 0.7, "interval": [0.6, 0.8], "scores": {}, "epochs": 4},
    "decision": {"rule": "searched", "neutral_threshold": 0.4, "temperature": 1.3},
    "floor": None,
    "verdict": None,
}


class Here(ScriptedRunner):
    """A runner whose trainings give their own arguments, and whose model folder is empty."""

    home = "here"

    def here(self, task: Task) -> dict[str, Any]:
        self.tasks.append(task)
        task.arguments["folder"].mkdir(parents=True)
        said = np.array([[0.2, 0.3, 0.5], [0.4, 0.3, 0.3]], np.float32)
        return {"model_parameters": 9, "probabilities": said, "classes": np.array([2, 1])}


def joined(task: Task, members: float, average: float) -> dict[str, Any]:
    """Members that are each right on their own first samples, and their average."""
    labels = LABELS[task.arguments["fold"].val]
    wrong = EYE[(labels + 1) % 3]

    def right(share: float) -> Any:
        said = wrong.copy()
        hits = round(share * len(labels))
        said[:hits] = EYE[labels][:hits]
        return said

    return {"members": np.stack([right(members)] * 2), "average": right(average)}


def runner_of(members: float = 0.5, average: float = 0.4) -> Any:
    def answer(task: Task) -> Any:
        if task.function is validate_joining:
            return joined(task, members, average)
        return f"{task.arguments['seed']}:{len(task.arguments['rows'])}".encode()

    return Here(answer)


def plan_with(tmp_path: Path, words: str = "--folds 3 --metric val_accuracy") -> Plan:
    plan = plan_of(words, tmp_path / "run")
    backbones = {"text": "/home/me/weights/bert", "image": "resnet18"}
    about = {"backbones": backbones, "random_backbones": ["text"]}
    write_search(plan.folder, SEARCHED | about)
    frame = pd.DataFrame(EYE[LABELS[ROWS]], columns=list(SENTIMENTS.names))
    frame.insert(0, "fold", np.repeat(np.arange(3), [len(fold.val) for fold in FOLDS]))
    frame.insert(1, "row", ROWS)
    frame.loc[frame.index[::2], list(SENTIMENTS.names)] = EYE[(LABELS[ROWS][::2] + 1) % 3]
    plan.folder.write_confirmation(3, frame)
    return plan


def shipped(plan: Plan, runner: Any, best: Any = BEST) -> dict[str, Any]:
    ship(runner, plan, with_unlabelled(), FOLDS, best_of(**best), QUIET)
    return dict(read_best(plan.folder)["final"])


def seed_of(plan: Plan, number: int = 0) -> int:
    return stream_seed(fresh_seed(plan), number)


def members_of(runner: Any) -> list[Any]:
    members: list[Any] = runner.tasks[-1].arguments["members"]
    return members


def test_a_refit_that_is_the_best_is_trained_on_all_samples(tmp_path: Path) -> None:
    plan, runner = plan_with(tmp_path), runner_of(members=0.4)
    final = shipped(plan, runner)
    assert (final["kind"], final["epochs"], final["seeds"], final["members"]) == ("refit", 4, 1, 1)
    assert final["scores"] == pytest.approx(
        {"refit": 0.5, "average": 0.4, "folds": 0.4, "members": 0.4}, abs=0.03
    )
    assert members_of(runner) == [FinalMember(BEST["params"], [f"{seed_of(plan)}:60".encode()])]
    rule = runner.tasks[-1].arguments["rule"]
    assert (rule.neutral_threshold, rule.temperature) == (0.4, 1.3)
    assert plan.folder.read_predictions()["tag"].tolist() == ["negative", "neutral"]
    assert plan.folder.read_predictions()["guid"].tolist() == ["007", "8"]
    assert read_best(plan.folder)["final"]["why"].startswith("the best in nested validation (")


def test_side_by_side_are_the_models_of_all_folds_where_that_is_best(tmp_path: Path) -> None:
    plan, runner = plan_with(tmp_path), runner_of(members=0.9)
    final = shipped(plan, runner)
    assert (final["kind"], final["members"]) == ("folds", 3)
    sizes = [len(fold.train) for fold in FOLDS]
    expected = [
        FinalMember(BEST["params"], [f"{seed_of(plan)}:{size}".encode()]) for size in sizes
    ]
    assert members_of(runner) == expected
    # One in ten wrong at probability 1 is far too sure: what is shown is flattened.
    assert runner.tasks[-1].arguments["rule"].temperature == final["temperature"] > 2


def test_members_are_validated_on_a_fold_that_none_of_them_saw(tmp_path: Path) -> None:
    runner = runner_of()
    shipped(plan_with(tmp_path), runner)
    tasks = [task for task in runner.tasks if task.function is validate_joining]
    assert len(tasks) == 2
    for task, outer in zip(tasks, FOLDS, strict=False):
        assert task.arguments["fold"] is outer
        assert len(task.arguments["members"]) == 2
        for rows in task.arguments["members"]:
            assert not np.intersect1d(rows, outer.val).size
            assert len(rows) < len(outer.train)


def test_averages_and_seeds_are_as_asked_for_and_a_bad_average_is_warned_about(
    tmp_path: Path,
) -> None:
    words = "--folds 3 --metric val_accuracy --final average --final-seeds 2"
    runner, plan = runner_of(members=0.5, average=0.2), plan_with(tmp_path, words)
    final = shipped(plan, runner)
    assert (final["kind"], final["seeds"], final["members"]) == ("average", 2, 2)
    assert final["why"].startswith("asked for; averaged weights do worse (0.1905)")
    first, second = (member.weights for member in members_of(runner))
    assert [len(first), len(second)] == [3, 3]
    for number, group in enumerate((first, second)):
        assert all(one.startswith(b"%d:" % seed_of(plan, number)) for one in group)


def test_one_split_or_an_unconfirmed_config_is_refitted_for_its_best_epoch(
    tmp_path: Path,
) -> None:
    runner = runner_of()
    best = BEST | {"confirmed": None, "decision": None}
    final = shipped(plan_with(tmp_path), runner, best)
    assert (final["kind"], final["epochs"], final["scores"]) == ("refit", 2, None)
    assert [task.function for task in runner.tasks] == [train_member, assemble]
    assert runner.tasks[-1].arguments["rule"].neutral_threshold == 0.4


def test_fold_models_that_diverge_give_way_to_a_refit_and_it_is_said(tmp_path: Path) -> None:
    usual = runner_of(members=0.9).answer

    def answer(task: Task) -> Any:
        if task.function is train_member and len(task.arguments["rows"]) < len(LABELS):
            return WorkError("DivergedError: training loss is nan")
        return usual(task)

    plan, runner = plan_with(tmp_path), Here(answer)
    console = Console(file=io.StringIO(), width=200)
    final = ship(runner, plan, with_unlabelled(), FOLDS, best_of(**BEST), console).final  # type: ignore[arg-type]
    assert final is not None
    assert (final.kind, final.members) == ("refit", 1)
    assert "the models of the folds could not be trained (DivergedError: tr" in str(final.why)
    assert "one model on all data is, instead" in console.file.getvalue()  # type: ignore[attr-defined]
    assert members_of(runner)[0][1][0].endswith(b":60")
    assert (
        runner.tasks[-1].arguments["rule"].temperature == 1.3
    )  # of the refit, not of the folds' models


@pytest.mark.parametrize(("words", "kind"), [("", "refit"), (" --final folds", "folds")])
def test_what_cannot_be_validated_is_shipped_without_and_it_is_said(
    tmp_path: Path, words: str, kind: str
) -> None:
    usual = runner_of().answer
    runner = Here(
        lambda task: WorkError("nan") if task.function is validate_joining else usual(task)
    )
    final = shipped(plan_with(tmp_path, f"--folds 3 --metric val_accuracy{words}"), runner)
    assert (final["kind"], final["scores"]) == (kind, None)
    assert final["why"].endswith("joining fold models could not be validated: nan")


def test_a_training_that_crashes_is_no_model(tmp_path: Path) -> None:
    plan, runner = plan_with(tmp_path), Here(lambda _: WorkError("killed"))
    with pytest.raises(UntrainableError, match="no model of trial 3 could be trained: killed"):
        ship(runner, plan, with_unlabelled(), FOLDS, best_of(**BEST), QUIET)  # type: ignore[arg-type]
    assert not plan.folder.model.exists()


def test_an_average_below_its_members_is_never_preferred() -> None:
    scores = {"refit": 0.5, "folds": 0.6, "average": 0.65, "members": 0.66}
    kind, why = preferred("val_accuracy", scores, None)
    assert kind == "folds"
    assert "averaged weights do worse (0.6500) than the models that they average (0.6600)" in why
    assert preferred("val_accuracy", scores | {"members": 0.6}, None)[0] == "average"
    assert preferred("val_loss", scores, None)[0] == "refit"
    ties = dict.fromkeys(scores, 0.5)
    assert preferred("val_accuracy", ties, None)[0] == "refit"


def test_joining_one_split_is_refused() -> None:
    with pytest.raises(SettingsError) as error:
        plan_of("--final folds --final-seeds 0 --confirm -1")
    assert set(str(error.value).splitlines()) == {
        "--confirm must be >= 0, got -1",
        "--final-seeds must be >= 1, got 0",
        "--final folds needs --folds >= 2, got 1",
    }


def test_other_rules_hold_the_neutral_threshold() -> None:
    for rule in ("tuned", "argmax"):
        assert plan_of(f"--decision {rule}").hand_tuned["neutral_threshold"] == 0
    held = plan_of("--decision tuned --fix neutral_threshold=0.4")
    assert held.hand_tuned["neutral_threshold"] == 0.4
    assert plan_of("").hand_tuned["neutral_threshold"] > 0


def test_the_card_tells_all_and_names_no_folder_of_this_machine(tmp_path: Path) -> None:
    plan = plan_with(tmp_path)
    shipped(plan, runner_of(members=0.4))
    card = (plan.folder.model / "README.md").read_text()
    for words in (
        "**A demonstration: random weights were used for text.**",
        "text `bert`, image `resnet18`",
        "| `neutral_threshold` | 0.4 |",
        "95 % bootstrap interval 0.6000 to 0.8000",
        "calibrated with temperature 1.300",
        "Kind: refit, one model of the config, trained on all labelled pairs; 4 epochs",
        "60 labelled pairs (20 positive, 20 neutral, 20 negative)",
    ):
        assert words in card
    assert "/home/me" not in card
    assert json.loads(plan.folder.best.read_text())["final"]["parameters"] == 9
