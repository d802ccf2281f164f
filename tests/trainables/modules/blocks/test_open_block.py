"""Opened blocks equal the library's, gradients included, and compute the readers alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from tests.trainables.modules.joint_models import blip_model, clip_model
from trainables.modules.blocks.open_block import OpenBlock, PostNormBlock, PreNormBlock

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from trainables.modules.backbones.tower import Tower

LENGTHS = torch.tensor([6, 2, 4, 1])
SEEN = (torch.arange(6) < LENGTHS[:, None])[:, None, None]  # (B, 1, 1, L)
KINDS = ("vit", "clip", "blip", "bert", "blip_text")
# BLIP's image blocks take no mask.
UNMASKED = ("blip", True)
READERS = {"one": slice(0, 1), "last": slice(5, 6), "all": slice(None)}


@pytest.fixture(scope="module")
def blocks(towers: Mapping[str, Tower]) -> Mapping[str, Any]:
    """The last block of each kind of model, in evaluation mode."""
    blip = blip_model()
    return {
        "vit": towers["vit"].model.layers[-1],
        "clip": clip_model().vision_model.encoder.layers[-1],
        "blip": blip.vision_model.encoder.layers[-1],
        "bert": towers["bert"].model.encoder.layer[-1],
        "blip_text": blip.text_model.encoder.layer[-1],
    }


def opened(block: Any) -> OpenBlock:
    post_norm = hasattr(block, "intermediate")
    return (PostNormBlock if post_norm else PreNormBlock)(block).eval()


def hidden_states() -> Tensor:
    return torch.randn(4, 6, 32, generator=torch.Generator().manual_seed(3))


def run(block: OpenBlock, tokens: Tensor, which: slice, mask: Tensor | None) -> Tensor:
    readers = tokens if which == slice(None) else tokens[:, which]
    return block.finish(block.attend(block.project(readers, tokens), mask), readers)


def gradients(output: Tensor, tokens: Tensor, block: Any) -> list[Tensor]:
    weights = torch.linspace(-1, 1, output.numel()).view_as(output)
    named = [(n, p) for n, p in block.named_parameters() if "crossattention" not in n]
    inputs = [tokens, *(parameter for _, parameter in named)]
    return [output.detach(), *torch.autograd.grad((output * weights).sum(), inputs)]


@pytest.mark.parametrize("readers", READERS)
@pytest.mark.parametrize(
    ("kind", "masked"),
    [(kind, masked) for kind in KINDS for masked in (False, True) if (kind, masked) != UNMASKED],
)
def test_an_opened_block_equals_that_of_the_library(
    blocks: Mapping[str, Any], kind: str, readers: str, masked: bool
) -> None:
    block, which = blocks[kind], READERS[readers]
    mask = SEEN.expand(-1, 1, 6, -1) if masked else None
    # BLIP's text adds its mask to the scores; the others take it as it is.
    scores = torch.zeros(4, 1, 6, 6).masked_fill(~SEEN, -torch.inf)
    theirs = scores if masked and kind == "blip_text" else mask
    block.requires_grad_(requires_grad=True)
    tokens = hidden_states().requires_grad_()
    got = gradients(run(opened(block), tokens, which, SEEN if masked else None), tokens, block)
    library = block(tokens, attention_mask=theirs)[:, which]
    wanted = gradients(library, tokens, block)
    block.requires_grad_(requires_grad=False)
    # Output, hidden states, and 16 parameters: query, key, value, output, MLP, two norms; BLIP's
    # image block holds the first three in one.
    assert len(got) == 2 + (12 if kind == "blip" else 16)
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(one, other, atol=2e-5, rtol=1e-4)
    assert got[1].abs().max() > 1e-2


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_readers_are_computed(blocks: Mapping[str, Any], kind: str) -> None:
    block = opened(blocks[kind])
    query, key, value = block.project(hidden_states()[:, :2], hidden_states())
    assert query.shape == (4, 2, 32)
    assert key.shape == value.shape == (4, 6, 32)
    assert run(block, hidden_states(), slice(0, 2), None).shape == (4, 2, 32)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_masked_has_no_say(blocks: Mapping[str, Any], kind: str) -> None:
    block, first = opened(blocks[kind]), slice(0, 1)
    noisy = hidden_states() + 10 * (torch.arange(6) >= LENGTHS[:, None])[..., None]
    assert torch.equal(run(block, hidden_states(), first, SEEN), run(block, noisy, first, SEEN))
    assert not torch.equal(
        run(block, hidden_states(), first, None), run(block, noisy, first, None)
    )


def test_a_causal_reader_sees_what_came_before(blocks: Mapping[str, Any]) -> None:
    block, tokens = opened(blocks["clip"]), hidden_states()
    causal = block.attend(block.project(tokens, tokens), causal=True)
    earlier = torch.ones(6, 6, dtype=torch.bool).tril()
    expected = block.attend(block.project(tokens, tokens), earlier)
    torch.testing.assert_close(causal, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_attention_drops_weights_in_training_only(blocks: Mapping[str, Any], kind: str) -> None:
    block = opened(blocks[kind])
    block.attention_dropout = 0.5
    projections = block.project(hidden_states(), hidden_states())
    assert torch.equal(block.attend(projections), block.attend(projections))
    block.train()
    assert not torch.equal(block.attend(projections), block.attend(projections))
    block.eval()


@pytest.mark.parametrize("kind", KINDS)
def test_the_rate_of_dropout_is_read_off_the_library(kind: str) -> None:
    from transformers import BlipTextConfig, BlipVisionConfig, CLIPVisionConfig, ViTConfig
    from transformers.models.bert.modeling_bert import BertConfig, BertLayer
    from transformers.models.blip.modeling_blip import BlipEncoderLayer
    from transformers.models.blip.modeling_blip_text import BlipTextLayer
    from transformers.models.clip.modeling_clip import CLIPEncoderLayer
    from transformers.models.vit.modeling_vit import ViTLayer

    made: dict[str, Any] = {
        "vit": lambda: ViTLayer(ViTConfig(attention_probs_dropout_prob=0.3)),
        "clip": lambda: CLIPEncoderLayer(CLIPVisionConfig(attention_dropout=0.3)),
        "blip": lambda: BlipEncoderLayer(BlipVisionConfig(attention_dropout=0.3)),
        "bert": lambda: BertLayer(BertConfig(attention_probs_dropout_prob=0.3)),
        "blip_text": lambda: BlipTextLayer(BlipTextConfig(attention_probs_dropout_prob=0.3), 0),
    }
    with torch.device("meta"):
        block = made[kind]()
    assert opened(block).attention_dropout == 0.3


def test_a_block_of_another_make_is_refused_by_its_type(towers: Mapping[str, Tower]) -> None:
    block = towers["distilbert"].model.transformer.layer[-1]
    message = "block must be a pre-norm block of a known kind, got TransformerBlock"
    with pytest.raises(TypeError, match=message):
        PreNormBlock(block)
