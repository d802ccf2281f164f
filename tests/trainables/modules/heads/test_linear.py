"""The linear head, by hand."""

from __future__ import annotations

import torch

from trainables.modules.heads.linear import LinearHead
from trainables.modules.heads.views import VIEW, ViewConcatenation

WIDTHS = {"text": 2, "image": 1, VIEW: 1}
# In another order than the widths, which say the order of concatenation.
READ = {
    VIEW: torch.tensor([[5.0], [0.0]]),
    "image": torch.tensor([[3.0], [1.0]]),
    "text": torch.tensor([[1.0, 2.0], [0.0, 0.0]]),
}


def by_hand() -> LinearHead:
    head = LinearHead(WIDTHS, 2)
    weight = torch.tensor([[1.0, 10.0, 100.0, 1000.0], [-1.0, 0.0, 0.0, 1.0]])
    head.linear.load_state_dict({"weight": weight, "bias": torch.tensor([0.5, 0.25])})
    return head


def test_all_that_is_read_is_concatenated_and_mapped_to_logits() -> None:
    assert by_hand()(READ).tolist() == [[5321.5, 4.25], [100.5, 0.25]]
    assert by_hand().fuse(by_hand().branches(READ)).tolist() == [[5321.5, 4.25], [100.5, 0.25]]


def test_features_of_views_are_given_as_they_are() -> None:
    views = ViewConcatenation(["one", "other"])
    read = {"other": torch.tensor([[3.0]]), "one": torch.tensor([[1.0, 2.0]])}
    assert views(read).tolist() == [[1.0, 2.0, 3.0]]
    assert not views.state_dict()
