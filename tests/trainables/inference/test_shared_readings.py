"""What members read is computed once, and is what each would have read alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from tests.conftest import NARROW, tiny_experiment
from trainables.activations import raw as raw_module
from trainables.activations.raw import LivePrefix, raw_inputs
from trainables.config import InputSettings
from trainables.data.views.lexicon import lexicon_features
from trainables.evaluation.decision import DecisionRule
from trainables.inference.predictor import Predictor
from trainables.inference.shared_readings import MemberReads, SharedReadings
from trainables.modules.backbones.cross_attention import tower_for
from trainables.tasks.baseline import fit_regression
from trainables.tasks.final import assemble, train_member
from trainables.tasks.final_member import FinalMember
from trainables.variants import VARIANTS
from trainables.variants.reading import prepared_as
from trainables.worker import Workbench

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from trainables.data.sample import Corpus

CPU = torch.device("cpu")
INPUTS = InputSettings(image_size=64, text_cleaning="minimal", image_preparation="imagenet")
DEEP = {"text_unfrozen_layers": 2, "image_unfrozen_layers": 1}
FROZEN = {"text_unfrozen_layers": 0, "image_unfrozen_layers": 0}
THIRD = {"text_pooled_layers": "third_last", "lexicon": True}


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each image was opened."""
    opened: Counter[str] = Counter()
    real = raw_module.open_image

    def count(path: Path) -> Any:
        opened[path.name] += 1
        return real(path)

    monkeypatch.setattr(raw_module, "open_image", count)
    return opened


@pytest.fixture(scope="module")
def members_of_one_tower(
    weights: Mapping[str, str], corpus: Corpus, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Three members that read alike, one whose towers are frozen whole, and a regression."""
    backbones = {"text": weights["bert"], "image": weights["vit"]}
    bench = Workbench(tiny_experiment(corpus=corpus, backbones=backbones))
    rows = np.arange(30)
    configs: list[dict[str, Any]] = [NARROW | DEEP | {"hidden_width": 8 * k} for k in (1, 2, 3)]
    members = [
        FinalMember(params, [train_member(bench, params, rows, 1, seed=1)])
        for params in (*configs, NARROW | FROZEN | THIRD)
    ]
    regression = FinalMember(THIRD, [fit_regression(bench, THIRD, rows)], 2.0, "regression")
    folder = tmp_path_factory.mktemp("members") / "model"
    assemble(bench, [*members, regression], DecisionRule(0.0), folder)
    return folder


def test_members_of_one_tower_embed_each_sample_once(
    members_of_one_tower: Path, corpus: Corpus, counts: Counter[str]
) -> None:
    predictor = Predictor(members_of_one_tower)
    towers: Any = predictor._reads[0].towers
    text, image = towers["text"], towers["image"]
    modules = {
        "text embeddings": text.model.embeddings,
        "text block": text._blocks[0].intermediate,  # packed or not
        "image embeddings": image.model.embeddings,
    }
    calls: Counter[str] = Counter()
    for name, module in modules.items():
        module.register_forward_hook(lambda *_, key=name: calls.update([key]))
    predictor.probabilities(corpus.samples)
    assert counts == {sample.image.name: 1 for sample in corpus.samples if sample.image}
    assert calls == dict.fromkeys(modules, 2), "36 samples are two batches"


def test_an_image_is_opened_once_for_each_preparation_that_members_ask_for(
    corpus: Corpus, counts: Counter[str]
) -> None:
    variant = VARIANTS["early_fusion"]
    towers = variant.load_towers({"text": "tiny", "image/a": "tiny", "image/b": "tiny"}, "both")
    asked: list[dict[str, Any]] = [
        {"image_backbone": "a"},
        {"image_backbone": "b", "image_preparation": "imagenet"},  # as of the model
        {"image_backbone": "a", "image_preparation": "basic"},
    ]
    readings = [variant.readings(replace(variant.hand_tuned, **each)) for each in asked]
    shared = SharedReadings([MemberReads(towers, INPUTS, each, ()) for each in readings], CPU)
    list(shared.batches(corpus.samples))
    assert counts == {sample.image.name: 2 for sample in corpus.samples if sample.image}


@pytest.mark.parametrize(
    ("variant", "asked"),
    [
        ("early_fusion", [DEEP]),
        ("early_fusion", [DEEP, FROZEN, FROZEN | THIRD, DEEP | {"text_cleaning": "basic"}]),
        ("early_fusion", [FROZEN | {"text_pooling": pooling} for pooling in ("cls", "mean")]),
        ("blip", [{"fusion": "cross", **DEEP}, {"fusion": "cross", **FROZEN}, {"lexicon": True}]),
        # Where the image trains, of the text the embeddings alone are frozen.
        ("blip", [{"fusion": "cross", **DEEP, "image_unfrozen_layers": k} for k in (0, 1)]),
    ],
)
def test_each_member_reads_what_it_would_have_read_alone(
    weights: Mapping[str, str], corpus: Corpus, variant: str, asked: list[dict[str, Any]]
) -> None:
    spec = VARIANTS[variant]
    own = {"text": weights["bert"], "image": weights["vit"]}
    towers = spec.load_towers({n: own.get(n, "tiny") for n in spec.backbones}, "both")
    configs: list[Any] = [replace(spec.hand_tuned, **each) for each in asked]
    readings = [spec.readings(config) for config in configs]
    views = [spec.views(config) for config in configs]
    members = [MemberReads(towers, INPUTS, *each) for each in zip(readings, views, strict=True)]
    shared = SharedReadings(members, CPU)
    seen: list[int] = []
    for rows, batches in shared.batches(corpus.samples):
        seen += rows.tolist()
        for mine, names, batch in zip(readings, views, batches, strict=True):
            assert {*batch} == {*mine, *names}
            for slot, read in mine.items():
                tower = tower_for(read.tower, towers)
                raw = raw_inputs(corpus.samples, prepared_as(INPUTS, read.prepared), tower)
                alone = LivePrefix(raw, tower.prefix(read.cut), CPU).gather(rows)
                if len(asked) == 1:
                    assert torch.equal(batch[slot].values, alone.values)
                torch.testing.assert_close(batch[slot].values, alone.values, atol=1e-5, rtol=1e-5)
                assert (batch[slot].mask is None) == (alone.mask is None)
                if alone.mask is not None and batch[slot].mask is not None:
                    assert torch.equal(batch[slot].mask, alone.mask)  # type: ignore[arg-type] # as said
            for name in names:
                features = lexicon_features(corpus.samples)[rows]
                np.testing.assert_array_equal(batch[name].values, features)
    assert seen == list(range(36))
