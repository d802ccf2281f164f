"""Text towers: which models have a block list we know, and the mean of real tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn
from transformers import BertConfig, BertModel

from trainables.modules.backbones.text_tower import TextTower, find_stack
from trainables.modules.backbones.tokenizers import HashTokenizer
from trainables.modules.backbones.weights import WeightsError
from trainables.modules.blocks.activations import Activations
from trainables.modules.blocks.cut import Cut
from trainables.modules.blocks.parameters import total_parameters
from trainables.modules.blocks.piece import mean_of_tokens

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainables.modules.backbones.tower import Tower


def test_the_mean_of_tokens_leaves_out_padding() -> None:
    hidden = torch.tensor([[[1.0, 10.0], [3.0, 20.0], [99.0, 99.0]], [[5.0, 6.0]] * 3])
    mask = torch.tensor([[True, True, False], [True, True, True]])
    assert mean_of_tokens(hidden, mask).tolist() == [[2.0, 15.0], [5.0, 6.0]]


def test_the_mean_of_tokens_without_a_mask_takes_all() -> None:
    assert mean_of_tokens(torch.tensor([[[1.0], [2.0], [6.0]]]), None).tolist() == [[3.0]]


def test_an_embedding_does_not_depend_on_how_far_its_batch_is_padded(
    towers: Mapping[str, Tower], inputs: Mapping[str, Activations]
) -> None:
    values, mask, _ = inputs["text"]
    assert mask is not None
    for cut in (Cut(0, "cls"), Cut(0, "mean")):
        prefix = towers["bert"].prefix(cut)
        with torch.no_grad():
            padded = prefix(inputs["text"]).values[1]
            alone = prefix(Activations(values[1:2, :2], mask[1:2, :2])).values[0]
        torch.testing.assert_close(padded, alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("family", "stack"),
    [
        ("bert", ("encoder", "layer")),
        ("roberta", ("encoder", "layer")),
        ("distilbert", ("transformer", "layer")),
    ],
)
def test_the_block_list_of_each_family_is_found(
    towers: Mapping[str, Tower], family: str, stack: tuple[str, str]
) -> None:
    assert find_stack(towers[family].model) == stack


def test_a_model_without_a_known_block_list_is_refused_by_its_type() -> None:
    message = (
        r"backbone text must be of one of the families BERT, .*, or of their kin \(a block list at"
        r" encoder.layer or transformer.layer\), got Linear"
    )
    with pytest.raises(WeightsError, match=message):
        find_stack(nn.Linear(1, 1))


def test_bert_base_has_its_published_size() -> None:
    with torch.device("meta"):
        model = BertModel(BertConfig())
    tower = TextTower(model, HashTokenizer(99), "bert-base", is_random=True)
    assert (tower.depth, tower.width) == (12, 768)
    assert tower.parameter_count == 109_482_240
    # A block: 4 x (768 x 768 + 768) + 768 x 3072 x 2 + 3072 + 768 + 2 norms x 2 x 768.
    for pooling in ("cls", "mean"):
        suffix = tower.suffix(Cut(2, pooling))
        assert total_parameters(suffix, trainable=True) == 2 * 7_087_872
