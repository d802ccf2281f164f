"""One fold: what an epoch is, by a plain loop; what moves, what does not, and when it diverges."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.trainables.training.conftest import (
    LABELS,
    Table,
    classifier,
    config_of,
    fold_of,
    trainer_of,
)
from trainables.data.sample import Fold
from trainables.evaluation.decision import Precision
from trainables.training.fold import DivergedError
from trainables.training.losses import ClassificationLoss, class_weights

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from trainables.training.fold import FoldTrainer


def state(trainer: FoldTrainer) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in trainer.classifier.state_dict().items()}


def test_an_epoch_is_that_of_a_plain_loop() -> None:
    config = config_of(class_weight_smoothing=0.0, max_grad_norm=0.5, warmup_ratio=0.0)
    trainer = trainer_of(config)
    rows = torch.tensor(fold_of(0).train)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model: Any = classifier().train()
        groups = [
            {"params": [model.head.output.weight], "lr": 1e-2, "weight_decay": 1e-2},
            {"params": [model.head.output.bias], "lr": 1e-2, "weight_decay": 0.0},
            {"params": [model.suffixes["text"].unfrozen.weight], "weight_decay": 1e-2},
            {"params": [model.suffixes["text"].unfrozen.bias], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=5e-5)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=5 * 6)
        total = 0.0
        for batch in rows[torch.randperm(len(rows))].split(8):
            logits = model({"text": Table().gather(batch)})
            target = torch.tensor(LABELS)[batch]
            loss = F.cross_entropy(logits, target, label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
            schedule.step()
            total += loss.item() * len(batch)
    assert trainer.train_epoch() == pytest.approx(total / len(rows), rel=1e-5)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(trainer.classifier.state_dict()[name], value)


@pytest.mark.parametrize("most", [1e-3, 0.999, 1.0, 1.001, 1e9])
def test_gradients_are_clipped_to_the_bit_as_pytorch_does(most: float) -> None:
    trainer = trainer_of(config_of(max_grad_norm=most))
    gradients = [torch.randn_like(p) for p in trainer.classifier.parameters() if p.requires_grad]
    norm = torch.nn.utils.get_total_norm(gradients)
    gradients = [gradient / norm for gradient in gradients]  # together about 1 long
    models = trainer.classifier, copy.deepcopy(trainer.classifier)
    for model in models:
        trained = [p for p in model.parameters() if p.requires_grad]
        for parameter, gradient in zip(trained, gradients, strict=True):
            parameter.grad = gradient.clone()
    trainer._clip()
    torch.nn.utils.clip_grad_norm_(models[1].parameters(), most)
    for one, other in zip(*(model.parameters() for model in models), strict=True):
        assert one.grad is other.grad is None or torch.equal(one.grad, other.grad)


@pytest.mark.parametrize("counts", [(12, 3, 6), (12, 6, 0)])
def test_training_samples_are_weighed_by_the_classes_of_their_fold(
    counts: tuple[int, ...],
) -> None:
    by_class = [np.flatnonzero(label == LABELS)[:n] for label, n in enumerate(counts)]
    fold = Fold(np.sort(np.concatenate(by_class)), fold_of(0).val)
    # One step over all: the loss is that of the untrained model.
    trainer = trainer_of(config_of(class_weight_smoothing=2.0, batch_size=99), fold)
    for module in trainer.classifier.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    with torch.no_grad():
        logits = trainer.classifier({"text": Table().gather(torch.tensor(fold.train))})
    labels = torch.tensor(LABELS)[fold.train]
    # A class that is not there weighs like one that is there once.
    weights = class_weights(torch.tensor(counts).clamp(min=1), 2.0)
    expected = ClassificationLoss(weights, torch.zeros(3), 0.05)(logits, labels).item()
    assert trainer.train_epoch() == pytest.approx(expected, rel=1e-5)


def test_what_is_frozen_does_not_move_and_all_else_does() -> None:
    trainer = trainer_of(config_of())
    before = state(trainer)
    trainer.train_epoch()
    moved = {
        name for name, value in state(trainer).items() if not torch.equal(value, before[name])
    }
    parts = ("suffixes.text.unfrozen", "head.output")
    assert moved == {f"{part}.{kind}" for part in parts for kind in ("weight", "bias")}


def test_a_validation_scores_the_held_out_samples_without_dropout() -> None:
    trainer = trainer_of(config_of())
    trainer.train_epoch()
    probabilities, loss, branches = trainer.validate()
    model, val = trainer.classifier.eval(), torch.tensor(fold_of(0).val)
    with torch.no_grad():
        logits = model({"text": Table().gather(val)})
    assert trainer.val.tolist() == val.tolist()
    torch.testing.assert_close(torch.tensor(probabilities), logits.softmax(dim=1))
    assert branches == {}
    assert loss == pytest.approx(F.cross_entropy(logits, torch.tensor(LABELS)[val]).item())


@pytest.mark.parametrize("schedule", ["cosine", "plateau"])
def test_validation_changes_nothing(schedule: str) -> None:
    config = config_of(schedule=schedule)
    once, often = trainer_of(config), trainer_of(config)
    for trainer, times in ((once, 1), (often, 3)):
        trainer.train_epoch()
        for _ in range(times):
            trainer.validate()
        trainer.train_epoch()
    assert all(torch.equal(value, state(once)[name]) for name, value in state(often).items())


def test_more_rows_than_a_pass_takes_are_predicted_in_order() -> None:
    trainer = trainer_of(config_of())
    rows = torch.arange(45).repeat(7)
    predicted = trainer.predict(rows)
    torch.testing.assert_close(predicted, trainer.predict(torch.arange(45)).repeat(7, 1))


def test_once_memory_was_short_fewer_rows_are_predicted_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = []
    gather = Table.gather

    def watched(table: Table, rows: Tensor) -> Any:
        seen.append(len(rows))
        return gather(table, rows)

    monkeypatch.setattr(Table, "gather", watched)
    trainer_of(config_of()).predict(torch.arange(45).repeat(7))
    trainer_of(config_of(), accumulation_steps=2).predict(torch.arange(45).repeat(7))
    assert seen == [256, 59, 128, 128, 59]


def test_samples_that_score_a_trial_have_no_part_in_its_plateau() -> None:
    config = config_of(schedule="plateau", head_learning_rate=0.5, patience=3)
    runs = []
    for shift in (0, 1):
        labels = torch.tensor(LABELS)
        labels[fold_of(0).val] = (labels[fold_of(0).val] + shift) % 3
        trainer = trainer_of(config, labels=labels)
        for _ in range(6):
            trainer.train_epoch()
            trainer.validate()
        runs.append(trainer)
    one, other = runs
    assert one.learning_rates == other.learning_rates
    assert one.learning_rates[0] < 0.5, "the rates have fallen within six epochs"
    assert all(torch.equal(value, state(one)[name]) for name, value in state(other).items())


def test_the_plateau_watches_samples_that_it_does_not_train_on() -> None:
    config = config_of(schedule="plateau")
    held = fold_of(0).train[:3]  # the first of each class
    runs = []
    for shift in (0, 1):
        labels = torch.tensor(LABELS)
        labels[held] = (labels[held] + shift) % 3
        trainer = trainer_of(config, labels=labels)
        trainer.train_epoch()
        runs.append(state(trainer))
    assert all(torch.equal(value, runs[0][name]) for name, value in runs[1].items())


def test_the_same_seed_gives_the_same_weights_bit_for_bit() -> None:
    one, other = trainer_of(config_of()), trainer_of(config_of())
    torch.manual_seed(123)
    losses = [(one.train_epoch(), other.train_epoch()) for _ in range(3)]
    assert all(first == second for first, second in losses)
    assert all(torch.equal(value, state(one)[name]) for name, value in state(other).items())


def test_another_seed_gives_other_weights_and_another_order() -> None:
    one, other = trainer_of(config_of()), trainer_of(config_of(), seed=4)
    assert not torch.equal(state(one)["head.output.weight"], state(other)["head.output.weight"])
    assert one.train_epoch() != other.train_epoch()


def test_a_huge_learning_rate_diverges_with_its_reason() -> None:
    # The first step throws the weights off the floats, the second sees it.
    trainer = trainer_of(config_of(head_learning_rate=1e38, warmup_ratio=0.0))
    message = (
        r"^training loss is (nan|inf) \(learning rates \d\.\de\+3\d, \d\.\de-05\); "
        r"lower the learning rates$"
    )
    with pytest.raises(DivergedError, match=message):
        trainer.train_epoch()


def test_a_validation_loss_that_is_not_finite_is_divergence() -> None:
    trainer = trainer_of(config_of())
    with torch.no_grad():
        trainer.classifier.get_parameter("head.output.bias").fill_(math.nan)
    with pytest.raises(DivergedError, match=r"^validation loss is nan; lower the learning rates$"):
        trainer.validate()


@pytest.mark.parametrize("precision", get_args(Precision))
@pytest.mark.parametrize(("schedule", "averaging"), [("cosine", 0.9), ("plateau", 0.0)])
def test_a_trainer_resumed_at_any_epoch_equals_an_unbroken_one(
    schedule: str, averaging: float, precision: Precision, tmp_path: Path
) -> None:
    config = config_of(schedule=schedule, weight_averaging=averaging, head_learning_rate=0.3)
    unbroken, broken = (trainer_of(config, precision=precision) for _ in range(2))
    for epoch in range(6):
        expected: tuple[Any, ...] = (unbroken.train_epoch(), *unbroken.validate())
        got: tuple[Any, ...] = (broken.train_epoch(), *broken.validate())
        assert (got[0], got[2]) == (expected[0], expected[2])
        assert (got[1] == expected[1]).all()
        torch.save(broken.state_dict(), tmp_path / f"{epoch}.pt")
        broken = trainer_of(config, seed=100 + epoch, precision=precision)
        broken.load_state_dict(torch.load(tmp_path / f"{epoch}.pt", weights_only=True))
        assert broken.learning_rates == unbroken.learning_rates
    assert all(torch.equal(value, state(broken)[name]) for name, value in state(unbroken).items())


def test_averaging_changes_what_is_scored_and_not_what_trains() -> None:
    plain, averaged = (trainer_of(config_of(weight_averaging=each)) for each in (0.0, 0.9))
    for _ in range(2):
        assert plain.train_epoch() == averaged.train_epoch()
    assert not np.allclose(plain.validate().probabilities, averaged.validate().probabilities)
    averaged._average.exchange()
    assert all(torch.equal(value, state(averaged)[name]) for name, value in state(plain).items())


@pytest.mark.parametrize("scaled", [("float32", "float16"), ("float16", "float32")])
def test_a_checkpoint_crosses_to_where_losses_are_scaled_and_back(
    scaled: tuple[Precision, Precision],
) -> None:
    first, second = (trainer_of(config_of(), precision=each) for each in scaled)
    first.train_epoch()
    second.load_state_dict(first.state_dict())
    assert math.isfinite(second.train_epoch())


@pytest.mark.parametrize("parts", [1, 2])
def test_gradients_are_unscaled_before_they_are_clipped(parts: int) -> None:
    config = config_of(max_grad_norm=0.01)
    trainer = trainer_of(config, accumulation_steps=parts, precision="float16")
    norms: list[float] = []

    def look(*_: Any) -> None:
        gradients = [p.grad for p in trainer.classifier.parameters() if p.grad is not None]
        norms.append(torch.nn.utils.get_total_norm(gradients).item())

    trainer.optimizer.register_step_pre_hook(look)
    trainer.train_epoch()
    assert norms == pytest.approx([0.01] * 5, rel=1e-3)
