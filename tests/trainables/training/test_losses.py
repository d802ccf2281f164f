"""Class weights and the loss, by hand and against torch."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from trainables.training.losses import ClassificationLoss, class_weights, prior_offsets

COUNTS = torch.tensor([60, 10, 30])


def classification_loss(
    logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor, smoothing: float
) -> torch.Tensor:
    return ClassificationLoss(weights, torch.zeros(len(weights)), smoothing)(logits, labels)


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


def test_the_focal_factor_is_that_worked_by_hand() -> None:
    # p_t = 3/4 and 1/2: (1/4)^2 log(4/3) and (1/2)^2 log 2; the mean is 0.095633.
    logits = torch.tensor([[math.log(3), 0.0], [0.0, 0.0]])
    plain = ClassificationLoss(torch.ones(2), torch.zeros(2), focal_gamma=2.0)
    assert plain(logits, torch.tensor([0, 1])).item() == pytest.approx(0.095633, abs=1e-6)
    off = ClassificationLoss(torch.ones(2), torch.zeros(2), focal_gamma=0.0)
    expected = (math.log(4 / 3) + math.log(2)) / 2
    assert off(logits, torch.tensor([0, 1])).item() == pytest.approx(expected)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_a_sample_that_is_sure_beyond_floats_has_a_finite_gradient(gamma: float) -> None:
    logits = torch.tensor([[200.0, 0.0, 0.0]], requires_grad=True)
    ClassificationLoss(torch.ones(3), torch.zeros(3), focal_gamma=gamma)(
        logits, torch.tensor([0])
    ).backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_logit_adjustment_adds_the_log_of_the_priors() -> None:
    offsets = prior_offsets(COUNTS, 1.0)
    torch.testing.assert_close(offsets, torch.tensor([0.6, 0.1, 0.3]).log())
    torch.testing.assert_close(prior_offsets(COUNTS, 0.5), offsets / 2)
    assert prior_offsets(COUNTS, 0.0).tolist() == [0, 0, 0]
    # With equal logits the adjusted softmax is the prior: the loss of the rare class is log 10.
    loss = ClassificationLoss(torch.ones(3), offsets)(torch.zeros(1, 3), torch.tensor([1]))
    assert loss.item() == pytest.approx(math.log(10), rel=1e-6)


def test_logit_adjustment_makes_constant_logits_the_best_where_nothing_can_be_learnt() -> None:
    # Samples in the share of the priors and no features: the adjusted loss is least at 0, so the
    # plain logits treat the classes alike; without it they would be the log-priors.
    labels = torch.repeat_interleave(torch.arange(3), COUNTS)
    for tau, best in ((1.0, torch.zeros(3)), (0.0, (COUNTS / 100).log())):
        logits = (best - best.mean()).requires_grad_()
        loss = ClassificationLoss(torch.ones(3), prior_offsets(COUNTS, tau))
        loss(logits.expand(100, 3), labels).backward()
        assert logits.grad is not None
        torch.testing.assert_close(logits.grad, torch.zeros(3), atol=1e-6, rtol=0)
