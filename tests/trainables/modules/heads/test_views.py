"""What embeds the features of views, and where each head reads that."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from trainables.modules.blocks.activations import Activations
from trainables.modules.blocks.piece import PassPooled
from trainables.modules.heads.classifier import Classifier
from trainables.modules.heads.fusion import EarlyFusionHead, JointHead
from trainables.modules.heads.late_fusion import LateFusionHead
from trainables.modules.heads.views import (
    PROJECTION_WIDTH,
    VIEW,
    Standardization,
    ViewProjection,
)

WIDTHS = {"text": 6, "image": 6, VIEW: PROJECTION_WIDTH}
HEADS: dict[str, Any] = {
    "early": lambda widths: EarlyFusionHead(widths, 5, 8, 3, 0.0, normalize=True),
    "add": lambda widths: JointHead(widths, 8, 3, 0.0, fusion="add", normalize=True),
    "concat": lambda widths: JointHead(widths, 8, 3, 0.0, fusion="concat", normalize=False),
    "late": lambda widths: LateFusionHead(widths, 8, 3, 0.0, fusion="weighted", weight=0.5),
}


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3))


def test_features_are_standardized_as_by_the_reference() -> None:
    train, other = random(40, 3) * 5 + 2, random(7, 3)
    module = Standardization(3)
    module.fit(train)
    expected = StandardScaler().fit(train.numpy()).transform(other.numpy())
    np.testing.assert_allclose(module(other).numpy(), expected, rtol=1e-4, atol=1e-5)


def test_a_feature_that_is_constant_in_training_is_shifted_alone() -> None:
    module = Standardization(1)
    module.fit(torch.full((9, 1), 4.0))
    assert module(torch.tensor([[4.0], [6.0]])).tolist() == [[0.0], [2.0]]


def test_the_constants_are_saved_and_do_not_train() -> None:
    views = ViewProjection({"one": 2, "two": 1})
    assert set(views.state_dict()) == {
        "standardize.mean",
        "standardize.deviation",
        "project.weight",
        "project.bias",
    }
    assert {name for name, _ in views.named_parameters()} == {"project.weight", "project.bias"}


def test_all_views_make_one_embedding() -> None:
    views = ViewProjection({"one": 2, "two": 1})
    features = {"two": random(5, 1), "one": random(5, 2)}
    views.fit({name: values + 1 for name, values in features.items()})
    joined = torch.cat([features["one"], features["two"]], dim=1)
    mean, deviation = (joined + 1).mean(0), joined.std(0, correction=0)
    expected = F.linear((joined - mean) / deviation, views.project.weight, views.project.bias)
    torch.testing.assert_close(views(features), expected.clamp(min=0))
    assert views(features).shape == (5, PROJECTION_WIDTH)


def test_a_classifier_hands_the_views_to_its_head() -> None:
    head = HEADS["early"](WIDTHS)
    classifier = Classifier(
        {"text": PassPooled(), "image": PassPooled()}, head, views=ViewProjection({"one": 2})
    ).eval()
    batch = {"text": random(4, 6), "image": random(4, 6) + 1, "one": random(4, 2)}
    assert classifier.views is not None
    embedded = {**batch, VIEW: classifier.views({"one": batch["one"]})}
    said = classifier({name: Activations(values) for name, values in batch.items()})
    torch.testing.assert_close(said, head(embedded))


@pytest.mark.parametrize("name", HEADS)
def test_every_head_reads_the_views_where_there_are_any(name: str) -> None:
    torch.manual_seed(0)
    head = HEADS[name](WIDTHS)
    embeddings = {role: random(4, width) for role, width in WIDTHS.items()}
    embeddings[VIEW].requires_grad_()
    head(embeddings).square().sum().backward()
    gradient = embeddings[VIEW].grad
    assert gradient is not None
    assert (gradient.abs().sum(dim=1) > 0).all()


@pytest.mark.parametrize("name", HEADS)
def test_a_head_without_views_has_no_room_for_them(name: str) -> None:
    def size(widths: dict[str, int]) -> int:
        return sum(p.numel() for p in HEADS[name](widths).parameters())

    without = {role: width for role, width in WIDTHS.items() if role != VIEW}
    assert size(WIDTHS) - size(without) == PROJECTION_WIDTH * 8


def test_only_the_branch_of_the_text_reads_the_views() -> None:
    head = HEADS["late"](WIDTHS)
    embeddings = {role: random(4, width) for role, width in WIDTHS.items()}
    other = {**embeddings, VIEW: embeddings[VIEW] + 1}
    assert torch.equal(head.branches(embeddings)["image"], head.branches(other)["image"])
    assert not torch.equal(head.branches(embeddings)["text"], head.branches(other)["text"])
