"""The classifier: each suffix reads its own role, the head reads their embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from trainables.modules.blocks.activations import Activations
from trainables.modules.blocks.piece import PassPooled
from trainables.modules.heads.classifier import Classifier
from trainables.modules.heads.head import Head
from trainables.modules.heads.linear import LinearHead
from trainables.modules.heads.views import VIEW, ViewProjection

if TYPE_CHECKING:
    from collections.abc import Mapping


class Double(nn.Module):
    def forward(self, activations: Activations) -> Activations:
        return Activations(2 * activations.values)


class Difference(Head):
    def forward(self, embeddings: Mapping[str, Tensor]) -> Tensor:
        return embeddings["text"] - embeddings["image"]


def test_each_role_goes_through_its_own_suffix_to_the_head() -> None:
    classifier = Classifier({"text": Double(), "image": PassPooled()}, Difference())
    batch = {
        "image": Activations(torch.tensor([[1.0, 2.0]])),
        "text": Activations(torch.tensor([[5.0, 7.0]])),
    }
    assert classifier(batch).tolist() == [[9.0, 12.0]]


def test_head_and_views_compute_in_float32_where_suffixes_compute_in_fewer_bits() -> None:
    suffix: Any = nn.Linear(2, 2)
    views, head = ViewProjection({"lexicon": 1}), LinearHead({"text": 2, VIEW: 32}, 3)

    class Suffix(nn.Module):
        def forward(self, activations: Activations) -> Activations:
            return Activations(suffix(activations.values))

    classifier = Classifier({"text": Suffix()}, head, views=views)
    texts, features = torch.tensor([[5.0, 7.0]]), torch.tensor([[0.3]])
    batch = {"text": Activations(texts), "lexicon": Activations(features)}
    with torch.autocast("cpu", torch.bfloat16):
        logits, embedding = classifier(batch), suffix(texts)
    assert embedding.dtype == torch.bfloat16
    read = {"text": embedding.float(), VIEW: views({"lexicon": features})}
    assert torch.equal(logits, head(read))


def test_suffixes_and_head_are_parts_of_the_state() -> None:
    head: Any = nn.Linear(2, 3)
    classifier = Classifier({"text": nn.Linear(2, 2)}, head)
    assert set(classifier.state_dict()) == {
        "suffixes.text.weight",
        "suffixes.text.bias",
        "head.weight",
        "head.bias",
    }
