"""What an epoch draws: by hand, and under a fold's own random stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from tests.trainables.training.conftest import config_of, trainer_of
from trainables.config import ConfigError
from trainables.data.sample import Fold
from trainables.training.sampling import draw_epoch, drawn_counts, hold_back

if TYPE_CHECKING:
    from torch import Tensor

    from trainables.config import Sampling

LABELS = torch.tensor([0] * 60 + [1] * 10 + [2] * 30)
LATE = np.arange(36, 45)
ALL: tuple[Sampling, ...] = ("none", "weighted", "undersample")


def counts_of(order: Tensor) -> list[int]:
    return torch.bincount(LABELS[order], minlength=3).tolist()


def test_a_twentieth_of_each_class_is_held_back_and_never_its_last_sample() -> None:
    assert torch.bincount(LABELS[hold_back(LABELS)]).tolist() == [3, 1, 2]
    assert hold_back(torch.tensor([0, 1, 1])).tolist() == [False, True, False]


def test_without_sampling_an_epoch_is_every_sample_once() -> None:
    assert sorted(draw_epoch(LABELS, "none").tolist()) == list(range(100))


def test_undersampling_takes_as_many_of_each_class_as_the_rarest_has_and_others_each_time() -> (
    None
):
    first, second = draw_epoch(LABELS, "undersample"), draw_epoch(LABELS, "undersample")
    for order in (first, second):
        assert counts_of(order) == [10, 10, 10]
        assert len(set(order.tolist())) == 30
    assert set(first.tolist()) != set(second.tolist())
    assert (LABELS[first].diff() != 0).sum() > 5  # shuffled, not class by class


def test_every_sample_of_a_class_is_as_likely_to_survive_undersampling() -> None:
    seen = torch.zeros(100)
    for _ in range(600):
        seen[draw_epoch(LABELS, "undersample")] += 1
    shares = seen / 600
    torch.testing.assert_close(shares[10:20], torch.full((10,), 1 / 6), atol=0.07, rtol=0)
    torch.testing.assert_close(shares[60:70], torch.ones(10))


def test_weighted_sampling_draws_every_class_as_often() -> None:
    drawn = torch.cat([draw_epoch(LABELS, "weighted") for _ in range(60)])
    assert len(drawn) == 6000
    for count in counts_of(drawn):
        assert count == pytest.approx(2000, abs=180)


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [("none", [60, 10, 30]), ("weighted", [100 / 3] * 3), ("undersample", [10, 10, 10])],
)
def test_the_expected_counts_are_those_worked_by_hand(
    sampling: Sampling, expected: list[float]
) -> None:
    assert drawn_counts(LABELS, sampling, 3).tolist() == pytest.approx(expected)
    # A class that does not occur is not drawn, and the others share the epoch.
    without = LABELS[LABELS != 1]
    shares = {"none": [60, 0, 30], "weighted": [45, 0, 45], "undersample": [30, 0, 30]}
    assert drawn_counts(without, sampling, 3).tolist() == shares[sampling]
    assert 1 not in without[draw_epoch(without, sampling)]


@pytest.mark.parametrize("sampling", ALL)
def test_a_fold_draws_from_its_own_stream(sampling: Sampling) -> None:
    losses = []
    for noise in (1, 5):
        trainer = trainer_of(config_of(sampling=sampling, max_epochs=2))
        torch.rand(noise)  # what others draw meanwhile
        losses.append((trainer.train_epoch(), trainer.train_epoch()))
    assert losses[0] == losses[1]


def test_the_schedule_counts_the_steps_of_an_undersampled_epoch() -> None:
    # 12 + 3 + 3 training samples become 3 of each: 9 samples in batches of 4 are 3 steps; the
    # cosine is at its end after 2 epochs of 3.
    fold = Fold(np.array([0, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 33, 1, 4, 7, 2, 5, 8]), LATE)
    config = config_of(sampling="undersample", batch_size=4, max_epochs=2, warmup_ratio=0.0)
    trainer = trainer_of(config, fold)
    steps: list[Any] = []
    trainer.optimizer.register_step_post_hook(lambda *words: steps.append(words))
    trainer.train_epoch()
    trainer.train_epoch()
    assert len(steps) == 6
    assert trainer.learning_rates[0] == pytest.approx(0, abs=1e-9)


def test_weights_and_priors_go_by_the_classes_as_drawn() -> None:
    # Balanced draws leave nothing for weights and priors to mend: the loss is that without them.
    fold = Fold(np.array([0, 3, 6, 9, 12, 15, 1, 4, 2, 5, 8]), LATE)
    mended = {"class_weight_smoothing": 1.0, "logit_adjustment": 1.0}
    plain = trainer_of(config_of(sampling="weighted"), fold).train_epoch()
    assert trainer_of(config_of(sampling="weighted", **mended), fold).train_epoch() == (
        pytest.approx(plain, rel=1e-5)
    )
    assert trainer_of(config_of(**mended), fold).train_epoch() != pytest.approx(
        trainer_of(config_of(), fold).train_epoch(), rel=1e-3
    )


def test_settings_out_of_range_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as error:
        config_of(sampling="wieghted", logit_adjustment=-1, focal_gamma=float("nan"))
    assert str(error.value).splitlines() == [
        "sampling must be one of none, weighted, undersample, got 'wieghted'; "
        "did you mean 'weighted'?",
        "logit_adjustment must be >= 0 and finite, got -1",
        "focal_gamma must be >= 0 and finite, got nan",
    ]
