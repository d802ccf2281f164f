"""What is trained where an ensemble ships; the trainings themselves are tested in trainables."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from search.cluster.tasks import assemble, fit_regression, train_member
from search.errors import WorkError
from search.selection.ensemble import Member, Proposal
from search.selection.ensemble_model import ship_ensemble
from tests.records import best_of
from tests.search.selection.test_candidates import record
from tests.search.selection.test_confirmation import ScriptedRunner, with_unlabelled
from tests.search.selection.test_final_model import BEST, QUIET, Here, plan_with, seed_of
from trainables.evaluation.classes import SENTIMENTS
from trainables.evaluation.decision import DecisionRule
from trainables.inference.predictor import Predictor
from trainables.tasks import final
from trainables.tasks.final_member import FinalMember
from trainables.worker import Workbench

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from search.cluster.tasks import Task
    from trainables.experiment import Experiment

READS = {"lexicon": True}
PARAMS = {"rate": 0.1}
PROPOSAL = Proposal(
    (Member(0.6, record(5, "stopped", 0.5, params=PARAMS)), Member(0.4, reads=READS)), 1.8
)
ENSEMBLE = {
    "members": [
        {"trial": 5, "weight": 0.6, "confirmed": 0.7, "epochs": 2},
        {"reads": READS, "weight": 0.4, "confirmed": 0.6},
    ],
    "score": 0.75,
    "interval": [0.7, 0.8],
    "scores": {"val_accuracy": 0.75},
    "margin": 0.05,
    "margin_error": 0.01,
    "p_value": 0.01,
    "preferred": True,
    "neutral_weight": 1.8,
    "temperature": 1.2,
    "verdict": "the ensemble beats the best config alone",
}
CHOSEN = best_of(**BEST, ensemble=ENSEMBLE)


def runner_of(fails: Any = None) -> Any:
    def answer(task: Task) -> Any:
        if task.function is fails:
            return WorkError("it crashed")
        return f"{task.function.__name__}:{task.arguments.get('seed')}".encode()

    return Here(answer)


def test_each_member_is_trained_on_all_samples_and_they_are_put_together(tmp_path: Path) -> None:
    plan, runner = plan_with(tmp_path), runner_of()
    best = ship_ensemble(runner, plan, with_unlabelled(), (CHOSEN, PROPOSAL), QUIET)
    trained, regressed, put_together = runner.tasks
    assert trained.function is train_member
    assert trained.arguments["params"] == PARAMS
    assert trained.arguments["epochs"] == 2
    assert regressed.function is fit_regression
    assert regressed.arguments["params"] == READS
    everything = np.arange(len(with_unlabelled().labelled))
    for task in (trained, regressed):
        np.testing.assert_array_equal(task.arguments["rows"], everything)
    assert put_together.function is assemble
    assert put_together.arguments["members"] == [
        FinalMember(PARAMS, [f"train_member:{seed_of(plan)}".encode()], 0.6, "trained"),
        FinalMember(READS, [b"fit_regression:None"], 0.4, "regression"),
    ]
    rule = put_together.arguments["rule"]
    assert (rule.neutral_threshold, rule.neutral_weight, rule.temperature) == (0, 1.8, 1.2)
    assert best.final is not None
    assert (best.final.kind, best.final.members, best.final.parameters) == ("ensemble", 2, 9)
    assert best.shipped_ensemble == best.ensemble
    assert plan.folder.read_best() == best
    assert plan.folder.read_predictions()["tag"].tolist() == ["negative", "neutral"]


def test_the_card_says_who_is_in_it_and_how_it_decides(tmp_path: Path) -> None:
    plan = plan_with(tmp_path)
    ship_ensemble(runner_of(), plan, with_unlabelled(), (CHOSEN, PROPOSAL), QUIET)
    card = (plan.folder.model / "README.md").read_text()
    assert "| trial 5 | 0.60 | 0.7000 | 2 |" in card
    assert "| logistic regression (lexicon=True) | 0.40 | 0.6000 |  |" in card
    assert "probability of neutral is multiplied by 1.80" in card
    assert "| accuracy | 0.750 |" in card


def test_seeds_share_the_weight_of_their_member(tmp_path: Path) -> None:
    plan = plan_with(tmp_path, "--folds 3 --metric val_accuracy --final-seeds 2")
    runner = runner_of()
    ship_ensemble(runner, plan, with_unlabelled(), (CHOSEN, PROPOSAL), QUIET)
    members = runner.tasks[-1].arguments["members"]
    assert [(member.share, member.kind) for member in members] == [
        (0.3, "trained"),
        (0.3, "trained"),
        (0.4, "regression"),
    ]
    assert members[0].weights != members[1].weights


@pytest.mark.parametrize("fails", [train_member, fit_regression])
def test_without_one_of_its_members_no_ensemble_ships(tmp_path: Path, fails: Any) -> None:
    plan = plan_with(tmp_path)
    with pytest.raises(WorkError, match="it crashed"):
        ship_ensemble(runner_of(fails), plan, with_unlabelled(), (CHOSEN, PROPOSAL), QUIET)
    assert not plan.folder.predictions.exists()


def test_what_ships_is_told_in_json(tmp_path: Path) -> None:
    plan = plan_with(tmp_path)
    ship_ensemble(runner_of(), plan, with_unlabelled(), (CHOSEN, PROPOSAL), QUIET)
    told = json.loads(plan.folder.best.read_text())
    assert told["ensemble"]["members"][1] == ENSEMBLE["members"][1] | {"trial": None, "epochs": 0}  # type: ignore[index]
    assert told["final"]["why"] == ENSEMBLE["verdict"]


class Local(ScriptedRunner):
    """A runner that does its tasks in this process, on one workbench."""

    home = ""

    def __init__(self, bench: Workbench) -> None:
        super().__init__(lambda task: task.function(bench, **task.arguments))
        self._bench = bench

    def here(self, task: Task) -> Any:
        arguments = {k: v for k, v in task.arguments.items() if k != "home"}
        return final.assemble(self._bench, **arguments)


@pytest.mark.slow
def test_what_is_written_predicts_the_mean_by_weight(
    make_experiment: Callable[..., Experiment], tmp_path: Path
) -> None:
    experiment = make_experiment()
    bench, plan = Workbench(experiment), plan_with(tmp_path)
    params = {"batch_size": 8, "projection_width": 16, "hidden_width": 16}
    trial = record(5, "finished", 0.5, params=params)
    proposal = Proposal((Member(0.75, trial), Member(0.25, reads=READS)), 1.8)
    chosen = (best_of(**BEST, ensemble={**ENSEMBLE, "temperature": 1.0}), proposal)
    ship_ensemble(Local(bench), plan, experiment.corpus, chosen, QUIET)  # type: ignore[arg-type]
    pairs = experiment.corpus.unlabelled
    rows = np.arange(len(experiment.corpus.labelled))
    alone = []
    for mine in (
        FinalMember(params, [final.train_member(bench, params, rows, 2, seed_of(plan))]),
        FinalMember(READS, [fit_regression(bench, params=READS, rows=rows)], 1.0, "regression"),
    ):
        folder = tmp_path / mine.kind
        final.assemble(bench, [mine], DecisionRule(0.0), folder)
        alone.append(Predictor(folder).probabilities(pairs))
    expected = 0.75 * alone[0] + 0.25 * alone[1]
    predictor = Predictor(plan.folder.model)
    assert predictor.probabilities(pairs) == pytest.approx(expected, abs=1e-5)
    decided = (expected * [1, 1.8, 1]).argmax(axis=1)
    assert [one.tag for one in predictor.predict(pairs)] == [SENTIMENTS.names[k] for k in decided]
    assert plan.folder.read_predictions()["tag"].tolist() == [SENTIMENTS.names[k] for k in decided]
