"""What the attributions are attached to; that captum computes them right is captum's own test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

pytest.importorskip("captum", reason="the extra `explain` is not installed")

from tests.conftest import NARROW, TINY_BACKBONES
from tests.trainables.modules.layouts import IMAGES as IMAGE_LAYOUTS
from tests.trainables.modules.layouts import TEXTS, made, save
from trainables.config import ROLES, InputSettings
from trainables.evaluation.decision import DecisionRule
from trainables.inference.grad_cam import Explainer, by_word
from trainables.inference.predictor import Predictor
from trainables.modules.blocks.activations import Activations
from trainables.modules.blocks.cut import Cut
from trainables.tasks.baseline import fit_regression
from trainables.tasks.final import assemble, train_member
from trainables.tasks.final_member import FinalMember
from trainables.variants import VARIANTS
from trainables.worker import Workbench

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from trainables.data.sample import Corpus
    from trainables.experiment import Experiment

NO_DECISION = DecisionRule(0.0)
INPUTS = InputSettings(image_size=64, text_length=12)
IMAGES = ["resnet", "mobilenet", "vit"]


def make(
    variant: str, sources: Mapping[str, str], unfrozen: int, modality: Any = "both"
) -> tuple[Explainer, Any, Any, Any]:
    spec = VARIANTS[variant]
    towers = spec.load(sources, ROLES[modality])
    layers = {f"{role}_unfrozen_layers": unfrozen for role in ROLES[modality]}
    config = spec.config.from_params(layers)
    torch.manual_seed(0)
    classifier = spec.build(config, towers).eval()
    readings = spec.readings(config, modality)
    cuts = {slot: reading.cut for slot, reading in readings.items()}
    device = torch.device("cpu")
    return Explainer(towers, readings, classifier, INPUTS, device), towers, cuts, classifier


@pytest.mark.slow
@pytest.mark.parametrize("unfrozen", [0, 1])
@pytest.mark.parametrize("image", IMAGES)
def test_every_family_is_explained_wherever_it_is_cut(
    weights: Mapping[str, str], corpus: Corpus, image: str, unfrozen: int
) -> None:
    sources = {"text": weights["bert"], "image": weights[image]}
    explainer, *_ = make("early_fusion", sources, unfrozen)
    sample = corpus.labelled[5]  # five words
    found = explainer.explain(sample, 1)
    assert found.pixels is not None
    assert found.heat is not None
    assert (found.pixels.shape, found.pixels.dtype) == ((3, 64, 64), np.uint8)
    assert (found.heat.shape, found.heat.dtype) == ((64, 64), np.float32)
    assert found.heat.min() >= 0
    assert found.heat.max() in (pytest.approx(1), 0)
    assert [word for word, _ in found.words] == sample.text.split()
    assert any(score != 0 for _, score in found.words)
    assert 0 < found.probability < 1


@pytest.mark.parametrize("unfrozen", [0, 1])
@pytest.mark.parametrize(
    ("text", "image"),
    [
        ("modernbert", "dinov2 with registers"),
        ("albert", "swin"),
        ("deberta-v3", "siglip vision"),
    ],
)
def test_families_of_another_make_are_explained(
    corpus: Corpus, tmp_path: Path, text: str, image: str, unfrozen: int
) -> None:
    sources = {
        "text": save(made(TEXTS[text]), tmp_path / "text"),
        "image": save(made(IMAGE_LAYOUTS[image]), tmp_path / "image"),
    }
    explainer, *_ = make("early_fusion", sources, unfrozen)
    found = explainer.explain(corpus.labelled[5], 1)
    assert found.heat is not None
    assert found.heat.shape == (64, 64)
    assert found.heat.max() in (pytest.approx(1), 0)
    assert any(score != 0 for _, score in found.words)


@pytest.mark.parametrize("variant", ["clip", "blip"])
def test_towers_of_one_checkpoint_are_explained(corpus: Corpus, variant: str) -> None:
    explainer, *_ = make(variant, {variant: "tiny"}, 1)
    found = explainer.explain(corpus.labelled[5], 0)
    assert found.heat is not None
    assert found.heat.shape == (64, 64)
    assert len(found.words) == 5
    assert any(score != 0 for _, score in found.words)


@pytest.mark.parametrize("text", ["bert", "roberta", "distilbert"])
def test_words_add_up_to_what_the_text_adds_to_the_logit(
    weights: Mapping[str, str], corpus: Corpus, text: str
) -> None:
    """The completeness of integrated gradients, over words; the ends of a text add nothing."""
    sources = {"text": weights[text], "image": weights["resnet"]}
    explainer, towers, cuts, classifier = make("early_fusion", sources, 1)
    sample, target = corpus.labelled[5], 2
    found = explainer.explain(sample, target)
    with torch.no_grad():
        raw = {role: explainer._raw(role, sample) for role in cuts}
        ends = {role: towers[role].prefix(cut)(raw[role]) for role, cut in cuts.items()}
        blank = raw["text"].values.clone()
        blank[0, 1:-1] = towers["text"].tokenizer.pad_id
        mask = torch.ones_like(blank, dtype=torch.bool)
        without = {**ends, "text": towers["text"].prefix(cuts["text"])(Activations(blank, mask))}
        gain = (classifier(ends) - classifier(without))[0, target]
    assert sum(score for _, score in found.words) == pytest.approx(float(gain), rel=0.1, abs=0.02)


def test_words_add_up_what_each_of_two_texts_adds_to_the_logit(
    weights: Mapping[str, str], corpus: Corpus
) -> None:
    spec, target = VARIANTS["early_fusion"], 2
    sources = {"text/a": weights["bert"], "text/b": weights["distilbert"], "image": weights["vit"]}
    towers = spec.load_towers(sources, "both")
    config = spec.config.from_params({"text_backbone": "a+b", "image_unfrozen_layers": 1})
    torch.manual_seed(0)
    classifier, readings = spec.build(config, towers).eval(), spec.readings(config)
    classifier.head.output.weight.data.mul_(30)  # a fresh head hardly tells texts apart
    explainer = Explainer(towers, readings, classifier, INPUTS, torch.device("cpu"))
    found = explainer.explain(corpus.labelled[5], target)
    gains = []
    with torch.no_grad():
        raw = {slot: explainer._raw(slot, corpus.labelled[5]) for slot in readings}
        ends = {slot: explainer._prefixes[slot](values) for slot, values in raw.items()}
        for slot in ("text", "text_second"):
            blank = raw[slot].values.clone()
            blank[0, 1:-1] = towers["text/a"].tokenizer.pad_id  # type: ignore[attr-defined]
            mask = torch.ones_like(blank, dtype=torch.bool)
            without = {**ends, slot: explainer._prefixes[slot](Activations(blank, mask))}
            gains.append(float((classifier(ends) - classifier(without))[0, target]))
    assert min(map(abs, gains)) > 0.1
    told = sum(score for _, score in found.words)
    assert told == pytest.approx(sum(gains), rel=0.1, abs=0.02)
    assert found.heat is not None
    assert found.heat.shape == (64, 64)


def test_the_heat_of_a_vision_transformer_is_where_its_patches_are(
    weights: Mapping[str, str], corpus: Corpus
) -> None:
    """Against Grad-CAM by hand, on the tokens at the cut before the last block."""
    sources = {"image": weights["vit"]}
    explainer, towers, _, classifier = make("early_fusion", sources, 1, "image")
    sample, target = corpus.labelled[4], 1
    tokens = towers["image"].prefix(Cut(1))(explainer._raw("image", sample)).values
    tokens = tokens.detach().requires_grad_()
    classifier({"image": Activations(tokens)})[0, target].backward()
    assert tokens.grad is not None
    weight = tokens.grad[0, 1:].mean(dim=0)
    by_hand = (tokens.detach()[0, 1:] * weight).sum(dim=1).relu().reshape(1, 1, 4, 4)
    wide = torch.nn.functional.interpolate(by_hand, size=(64, 64), mode="bilinear")[0, 0]
    found = explainer.explain(sample, target).heat
    assert found is not None
    assert wide.max() > 0
    np.testing.assert_allclose(found, (wide / wide.max()).numpy(), atol=1e-5)


def test_a_model_of_text_alone_has_words_and_no_picture(
    weights: Mapping[str, str], corpus: Corpus
) -> None:
    explainer, *_ = make("early_fusion", {"text": weights["bert"]}, 1, "text")
    found = explainer.explain(corpus.labelled[5], 0)
    assert (found.heat, found.pixels) == (None, None)
    assert len(found.words) == 5


def test_looking_leaves_no_trace_in_the_model(weights: Mapping[str, str], corpus: Corpus) -> None:
    sources = {"text": weights["bert"], "image": weights["vit"]}
    explainer, *_ = make("early_fusion", sources, 1)
    first = explainer.explain(corpus.labelled[5], 0)
    again = explainer.explain(corpus.labelled[5], 0)
    assert first.probability == again.probability
    np.testing.assert_array_equal(first.heat, again.heat)  # type: ignore[arg-type]
    assert first.words == again.words


def test_tokens_add_up_to_their_words() -> None:
    text = "not so lovely"
    spans = [(0, 0), (0, 3), (3, 6), (7, 9), (9, 13), (0, 0)]  # the third begins with its space
    assert by_word(text, spans, [9, 1, 2, 4, 8, 9]) == (("not", 1), ("so", 2), ("lovely", 12))
    assert by_word(text, spans[:2], [9, 1]) == (("not", 1), ("so", 0), ("lovely", 0))
    assert by_word("", [(0, 0), (0, 0)], [1, 1]) == ()


@pytest.mark.slow
def test_the_largest_trained_member_is_explained(
    make_experiment: Callable[..., Experiment], corpus: Corpus, tmp_path: Path
) -> None:
    bench, rows = Workbench(make_experiment()), np.arange(30)
    members = [
        FinalMember(params, [train_member(bench, params, rows, 1, seed=1)], share)
        for params, share in ((NARROW, 1.0), (NARROW | {"hidden_width": 8}, 2.0))
    ]
    regression = FinalMember({}, [fit_regression(bench, {}, rows)], 9.0, "regression")
    assemble(bench, [regression, *members], NO_DECISION, tmp_path / "model")
    assemble(bench, members[1:], NO_DECISION, tmp_path / "alone")
    sample = corpus.labelled[5]
    found = Predictor(tmp_path / "model").explainer().explain(sample, 1)
    alone = Predictor(tmp_path / "alone").probabilities([sample])
    assert found.probability == pytest.approx(alone[0, 1], abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["early_fusion", "blip"])
def test_a_model_of_regressions_alone_is_explained_by_the_largest(
    make_experiment: Callable[..., Experiment], corpus: Corpus, tmp_path: Path, variant: str
) -> None:
    backbones = TINY_BACKBONES[variant]
    bench = Workbench(make_experiment(variant=variant, backbones=backbones))
    params, rows = {"lexicon": True}, np.arange(30)
    members = [
        FinalMember(params, [fit_regression(bench, params, rows[k:])], share, "regression")
        for k, share in ((0, 1.0), (6, 2.0))
    ]
    assemble(bench, members, NO_DECISION, tmp_path / "model")
    assemble(bench, members[1:], NO_DECISION, tmp_path / "alone")
    sample = corpus.labelled[5]
    found = Predictor(tmp_path / "model").explainer().explain(sample, 1)
    alone = Predictor(tmp_path / "alone").probabilities([sample])
    assert found.probability == pytest.approx(alone[0, 1], abs=1e-5)
    assert found.heat is not None
    assert found.heat.max() in (pytest.approx(1), 0)
    assert any(score != 0 for _, score in found.words)
