"""Class weights and the loss, by hand and against torch."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from trainables.training.losses import class_weights, classification_loss

COUNTS = torch.tensor([60, 10, 30])


def test_no_smoothing_weighs_all_classes_alike() -> None:
    assert class_weights(COUNTS, 0.0).tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("smoothing", [1e8, 1e300, math.inf])
def test_strong_smoothing_tends_to_inverse_frequency(smoothing: float) -> None:
    # N / (C n_c) = 100 / 180, 100 / 30, 100 / 90
    expected = torch.tensor([5 / 9, 10 / 3, 10 / 9])
    torch.testing.assert_close(class_weights(COUNTS, smoothing), expected, atol=1e-5, rtol=1e-5)


def test_weak_smoothing_tends_to_equal_weights() -> None:
    weights = class_weights(COUNTS, 1e-30)
    torch.testing.assert_close(weights, torch.ones(3), atol=0.03, rtol=0)
    assert weights[0] < weights[2] < weights[1]


def test_weights_at_smoothing_1_are_those_worked_by_hand() -> None:
    # Two classes of 3 and 1: r = 2/3 and 2; log(1 + r) = log(5/3) and log(3);
    # the mean over samples is (3 log(5/3) + log 3) / 4 = 0.657772
    weights = class_weights(torch.tensor([3, 1]), 1.0)
    torch.testing.assert_close(weights, torch.tensor([0.776599, 1.670202]), atol=1e-5, rtol=0)


@given(
    st.lists(st.integers(1, 10_000), min_size=2, max_size=6),
    st.floats(0),
)
def test_the_mean_weight_of_samples_is_1_and_rare_classes_weigh_more(
    counts: list[int], smoothing: float
) -> None:
    tensor = torch.tensor(counts)
    weights = class_weights(tensor, smoothing)
    assert weights.dtype == torch.float32
    assert (weights.double() * tensor).sum().item() == pytest.approx(tensor.sum().item(), rel=1e-4)
    order = tensor.argsort(descending=True, stable=True)
    assert (weights[order].diff() >= -1e-6).all()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_unweighted_loss_is_that_of_torch(smoothing: float) -> None:
    logits, labels = torch.randn(8, 3), torch.tensor([0, 1, 2, 0, 1, 2, 0, 0])
    loss = classification_loss(logits, labels, torch.ones(3), smoothing)
    expected = F.cross_entropy(logits, labels, label_smoothing=smoothing)
    torch.testing.assert_close(loss, expected)


def test_the_weighted_loss_is_that_of_torch_up_to_the_sum_of_weights() -> None:
    logits, labels = torch.randn(5, 3), torch.tensor([0, 1, 2, 0, 1])
    weights = torch.tensor([0.5, 3.0, 1.0])
    mean = F.cross_entropy(logits, labels, weight=weights)
    expected = mean * weights[labels].sum() / len(labels)
    torch.testing.assert_close(classification_loss(logits, labels, weights, 0.0), expected)


def test_the_loss_is_that_worked_by_hand() -> None:
    # Both classes at 1/2: each sample loses log 2, times its weight of 0.5 or 2; the mean is 1.25.
    loss = classification_loss(
        torch.zeros(2, 2), torch.tensor([0, 1]), torch.tensor([0.5, 2.0]), 0.0
    )
    assert loss.item() == pytest.approx(1.25 * 0.693147, abs=1e-5)


def test_a_sample_weighs_the_same_whatever_its_batch_mates() -> None:
    logits, labels = torch.randn(4, 3), torch.tensor([0, 1, 1, 2])
    weights = torch.tensor([0.5, 3.0, 1.0])
    whole = classification_loss(logits, labels, weights, 0.1)
    halves = [
        classification_loss(logits[i : i + 2], labels[i : i + 2], weights, 0.1) for i in (0, 2)
    ]
    torch.testing.assert_close(whole, sum(halves, torch.zeros(())) / 2)
