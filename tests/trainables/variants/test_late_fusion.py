"""Late fusion: the faults of its config, its branches, and the sizes of the real model."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from analysis.tables.fusion import fuse
from tests.trainables.test_worker_parameters import real_towers
from trainables.config import ROLES, ConfigError
from trainables.variants.late_fusion import LATE_FUSION, LateFusionConfig
from trainables.worker import Workbench

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainables.config import BranchFusion, Modality
    from trainables.experiment import Experiment
    from trainables.training.lockstep import EpochScores

FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"text_pooling": "max"}, "text_pooling must be cls or mean, got 'max'"),
    ({"fusion": "add"}, "fusion must be weighted or vote, got 'add'"),
    ({"fusion_weight": -0.1}, "fusion_weight must be in [0, 1], got -0.1"),
    ({"fusion_weight": math.nan}, "fusion_weight must be in [0, 1], got nan"),
    ({"hidden_width": 0}, "hidden_width must be >= 1, got 0"),
]
PARAMS: dict[str, Any] = {"batch_size": 8, "hidden_width": 16, "head_learning_rate": 1e-2}


@pytest.mark.parametrize(("values", "message"), FAULTS)
def test_a_bad_value_is_named_with_its_rule(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        LateFusionConfig.from_params(values)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("modality", "total"),
    [("both", 121_501_486), ("text", 109_679_875), ("image", 11_821_611)],
)
def test_the_real_model_has_the_sizes_of_the_lab(
    make_experiment: Callable[..., Experiment], modality: Modality, total: int
) -> None:
    bench = Workbench(make_experiment(variant="late_fusion", modality=modality))
    towers = {role: tower for role, tower in real_towers().items() if role in ROLES[modality]}
    bench.__dict__["towers"] = towers
    frozen = replace(LATE_FUSION.hand_tuned, text_unfrozen_layers=0, image_unfrozen_layers=0)
    heads = {"text": (768 + 1) * 256 + 257 * 3, "image": (512 + 1) * 256 + 257 * 3}
    counted = bench.count(LATE_FUSION.build(frozen, towers))
    assert counted == {"total": total, "trainable": sum(heads[role] for role in towers)}


def epoch_of(experiment: Experiment, **values: Any) -> EpochScores:
    bench = Workbench(experiment)
    return bench.start(bench.config(PARAMS | values)).next_epoch()


@pytest.mark.slow
@pytest.mark.parametrize(("fusion", "weight"), [("weighted", 0.3), ("weighted", 1.0), ("vote", 0)])
def test_one_training_serves_every_fusion(
    make_experiment: Callable[..., Experiment], fusion: BranchFusion, weight: float
) -> None:
    experiment = make_experiment(variant="late_fusion")
    kept = epoch_of(experiment).branches
    scores = epoch_of(experiment, fusion=fusion, fusion_weight=weight)
    for role in ("text", "image"):
        assert (scores.branches[role] == kept[role]).all()
        assert kept[role].sum(axis=1) == pytest.approx(np.ones(6))
    expected = fuse(kept["text"], kept["image"], fusion, weight)
    assert scores.probabilities == pytest.approx(expected, abs=1e-6)


def test_a_branch_learns_as_if_it_were_alone(make_experiment: Callable[..., Experiment]) -> None:
    # Clipping looks at all gradients at once: here it never clips.
    quiet = {"max_grad_norm": 1e6, "text_unfrozen_layers": 0, "image_unfrozen_layers": 0}
    quiet |= {"head_dropout": 0.0, "weight_decay": 0.0}
    both = Workbench(make_experiment(variant="late_fusion"))
    config = both.config(PARAMS | quiet)
    pair = both.start(config)
    alone = Workbench(make_experiment(variant="late_fusion", modality="text")).start(config)
    head: Any = alone.trainers[0].classifier.head
    start = pair.trainers[0].classifier.head.classifiers["text"].state_dict()  # type: ignore[union-attr]
    head.classifiers["text"].load_state_dict(start)
    alone.trainers[0]._random.state = pair.trainers[0]._random.state
    for _ in range(2):
        together, single = pair.next_epoch(), alone.next_epoch()
        assert together.branches["text"] == pytest.approx(single.probabilities, abs=1e-5)
    assert single.branches == {}


def test_the_loss_is_the_sum_of_both_branches(make_experiment: Callable[..., Experiment]) -> None:
    bench = Workbench(make_experiment(variant="late_fusion"))
    still = {"head_learning_rate": 1e-12, "backbone_learning_rate": 1e-12, "head_dropout": 0.0}
    still |= {"text_unfrozen_layers": 0, "image_unfrozen_layers": 0, "label_smoothing": 0.0}
    run = bench.start(bench.config(PARAMS | still))
    trainer = run.trainers[0]
    rows = trainer._train
    with torch.no_grad():
        branches = trainer.classifier.eval().branches(trainer._gather(rows))
    labels = torch.tensor(bench.experiment.corpus.labels)[rows]
    expected = sum(F.cross_entropy(logits, labels).item() for logits in branches.values())
    assert run.next_epoch().metrics["train_loss"] == pytest.approx(expected, abs=1e-5)


def test_a_branch_that_is_sure_of_nothing_else_is_finite_when_fused() -> None:
    head: Any = LATE_FUSION.head(LateFusionConfig(hidden_width=4), {"text": 2, "image": 2}, 3)
    sure = {"text": torch.tensor([[1e4, 0.0, -1e4]]), "image": torch.tensor([[0.0, 0.0, 1e4]])}
    assert head.fuse(sure).exp().tolist() == [pytest.approx([0.5, 0.0, 0.5])]
