"""Models on a GPU: they predict as on the CPU, joined or alone, and explain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

pytest.importorskip("jsonschema", reason="a model folder's description is checked by it")

from tests.conftest import NARROW
from tests.gpu.conftest import VARIANTS, known
from trainables.evaluation.decision import DecisionRule
from trainables.inference.predictor import Predictor
from trainables.tasks.baseline import fit_regression
from trainables.tasks.final import assemble, train_member
from trainables.tasks.final_member import FinalMember
from trainables.worker import Workbench

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trainables.experiment import Experiment

pytestmark = pytest.mark.gpu
# Of a probability: a model predicts in the precision that it was trained in, but CPU and GPU round
# differently.
TOLERANCE = 2e-2


def ship(experiment: Experiment, device: torch.device, members: int, folder: Path) -> Path:
    bench = Workbench(experiment, device)
    params = known(bench, NARROW)
    rows = np.arange(len(experiment.corpus.labelled))
    weights = [train_member(bench, params, rows, 1, seed) for seed in range(members)]
    assemble(bench, [FinalMember(params, weights)], DecisionRule(0.35), folder)
    return folder


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_model_predicts_on_the_device_as_on_the_cpu(
    make_experiment: Callable[..., Experiment],
    device: torch.device,
    tmp_path: Path,
    variant: str,
    members: int,
) -> None:
    experiment = make_experiment(variant=variant, backbones=VARIANTS[variant])
    folder = ship(experiment, device, members, tmp_path / "model")
    samples = experiment.corpus.unlabelled
    here, there = (
        Predictor(folder, where).probabilities(samples) for where in (device, torch.device("cpu"))
    )
    assert here == pytest.approx(there, abs=TOLERANCE)
    assert here.std(axis=0).max() > 1e-5


def test_a_regression_predicts_on_the_device_as_on_the_cpu(
    make_experiment: Callable[..., Experiment], device: torch.device, tmp_path: Path
) -> None:
    experiment = make_experiment()
    bench, rows = Workbench(experiment, device), np.arange(len(experiment.corpus.labelled))
    regression = FinalMember({}, [fit_regression(bench, {}, rows)], 1.0, "regression")
    assemble(bench, [regression], DecisionRule(0.35), tmp_path / "model")
    here, there = (
        Predictor(tmp_path / "model", where).probabilities(experiment.corpus.unlabelled)
        for where in (device, torch.device("cpu"))
    )
    assert here == pytest.approx(there, abs=1e-4)  # in float32 on both
    assert here.std(axis=0).max() > 1e-5


def test_an_explanation_on_the_device_is_that_of_the_cpu(
    make_experiment: Callable[..., Experiment], device: torch.device, tmp_path: Path
) -> None:
    pytest.importorskip("captum", reason="the extra `explain` is not installed")
    experiment = make_experiment()
    folder = ship(experiment, device, 1, tmp_path / "model")
    sample = experiment.corpus.labelled[5]
    here, there = (
        Predictor(folder, where).explainer().explain(sample, 1)
        for where in (device, torch.device("cpu"))
    )
    assert here.heat is not None
    assert there.heat is not None
    assert here.heat == pytest.approx(there.heat, abs=0.1)
    assert [word for word, _ in here.words] == [word for word, _ in there.words]
    assert here.probability == pytest.approx(there.probability, abs=TOLERANCE)
