"""A model of several variants: the mean of its parts, which reads what they share once."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.conftest import NARROW, tiny_experiment
from tests.trainables.inference.test_predictor_broken_models import change_config, fault_of
from trainables.config import InputSettings
from trainables.evaluation.decision import DecisionRule
from trainables.inference.about import ModelError, read_about
from trainables.inference.integrity import changed_files, model_digests
from trainables.inference.joined_folder import join_models
from trainables.inference.predictor import Predictor
from trainables.tasks.baseline import fit_regression
from trainables.tasks.final import assemble, train_member
from trainables.tasks.final_member import FinalMember
from trainables.worker import Workbench

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from trainables.data.sample import Corpus

RULE = DecisionRule(0.4, 1.5)
LATE = {"hidden_width": 8}
ROWS = np.arange(30)


def bench_of(corpus: Corpus, variant: str, size: int = 64, **backbones: str) -> Workbench:
    inputs = InputSettings(image_size=size)
    experiment = tiny_experiment(
        corpus=corpus, variant=variant, backbones=backbones, inputs=inputs
    )
    return Workbench(experiment)


@pytest.fixture(scope="module")
def parts(
    weights: Mapping[str, str], corpus: Corpus, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Two variants on the same towers, of which one has two members, and one on another."""
    pair = {"text": weights["bert"], "image": weights["vit"]}
    folder = tmp_path_factory.mktemp("parts")
    for variant, size, backbones, params, share in (
        ("early_fusion", 64, pair, NARROW, 0.3),
        ("late_fusion", 64, pair, LATE, 0.2),
        ("blip", 32, {"blip": "tiny"}, LATE, 0.4),
    ):
        bench = bench_of(corpus, variant, size, **backbones)
        members = [FinalMember(params, [train_member(bench, params, ROWS, 1, seed=1)], share)]
        if variant == "early_fusion":
            fitted = fit_regression(bench, {"lexicon": True}, ROWS)
            members.append(FinalMember({"lexicon": True}, [fitted], 0.1, "regression"))
        assemble(bench, members, DecisionRule(0.0), folder / variant)
    return {path.name: path for path in sorted(folder.iterdir())}


@pytest.fixture
def joined(parts: dict[str, Path], tmp_path: Path) -> Path:
    copies = [shutil.copytree(path, tmp_path / "parts" / name) for name, path in parts.items()]
    join_models(copies, RULE, tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.slow
def test_it_predicts_the_mean_of_its_parts_by_weight(
    joined: Path, parts: dict[str, Path], corpus: Corpus
) -> None:
    shares = {"early_fusion": 0.4, "late_fusion": 0.2, "blip": 0.4}
    alone = {name: Predictor(path).probabilities(corpus.samples) for name, path in parts.items()}
    expected = sum(share * alone[name] for name, share in shares.items())
    predictor = Predictor(joined)
    np.testing.assert_allclose(predictor.probabilities(corpus.samples), expected, atol=1e-5)
    assert predictor.rule == RULE
    decided = [one.tag for one in predictor.predict(corpus.unlabelled)]
    assert len(decided) == len(corpus.unlabelled)


def test_towers_that_parts_share_are_kept_and_run_once(joined: Path, corpus: Corpus) -> None:
    files = {path.relative_to(joined).as_posix() for path in joined.rglob("*.safetensors")}
    classifiers = {"classifier.safetensors", *(f"classifier-{n}.safetensors" for n in (2, 3, 4))}
    assert files == classifiers | {
        f"{name}/model.safetensors" for name in ("text", "image", "blip")
    }
    predictor = Predictor(joined)
    reads = dict(zip(["blip", "early", "linear", "late"], predictor._reads, strict=True))
    assert reads["early"].towers is reads["late"].towers is reads["linear"].towers
    assert reads["blip"].inputs.image_size == 32
    calls: Counter[str] = Counter()
    text: Any = reads["early"].towers["text"]
    text.model.embeddings.register_forward_hook(lambda *_: calls.update(["text"]))
    predictor.probabilities(corpus.samples)
    assert calls == {"text": 2}, "36 samples are two batches"


def test_its_files_have_digests_and_nothing_of_the_parts_is_left_out(joined: Path) -> None:
    about = read_about(joined)
    assert about["format"] == 3
    assert changed_files(joined, about) == []
    assert len(about["sha256"]) == len([path for path in joined.rglob("*") if path.is_file()])
    assert [one["variant"] for one in about["members"]] == [
        *("blip", "early_fusion", "early_fusion", "late_fusion"),
    ]
    assert [one["weight"] for one in about["members"]] == [0.4, 0.3, 0.1, 0.2]
    assert about["random_backbones"] == ["blip"]


@pytest.mark.slow
def test_it_is_one_graph_to_those_without_this_code(
    joined: Path, corpus: Corpus, tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
    from trainables.inference.export.write import export_model

    done = export_model(joined, tmp_path / "all.onnx", corpus.samples[:3])
    assert done.checked.difference < 1e-5
    description = json.loads((tmp_path / "all.onnx.json").read_text())
    assert description["variants"] == ["blip", "early_fusion", "late_fusion"]
    sides = [each["shape"][-1] for each in description["inputs"].values() if each["of"] == "image"]
    assert sides == [32, 64], "each part reads images of its own size"


@pytest.mark.slow
def test_each_member_computes_in_the_precision_of_its_part(
    parts: dict[str, Path], corpus: Corpus, tmp_path: Path
) -> None:
    coarse = shutil.copytree(parts["blip"], tmp_path / "blip")
    decision = json.loads((coarse / "config.json").read_text())["decision"]
    about = json.loads((coarse / "config.json").read_text())
    about["decision"] = decision | {"precision": "bfloat16"}
    about["sha256"] = model_digests(coarse, {k: v for k, v in about.items() if k != "sha256"})
    (coarse / "config.json").write_text(json.dumps(about))
    alone = Predictor(coarse).probabilities(corpus.samples)
    fine = Predictor(parts["late_fusion"]).probabilities(corpus.samples)
    late = shutil.copytree(parts["late_fusion"], tmp_path / "late_fusion")
    join_models([coarse, late], RULE, tmp_path / "model")
    found = Predictor(tmp_path / "model").probabilities(corpus.samples)
    np.testing.assert_allclose(found, (2 * alone + fine) / 3, atol=1e-5)
    assert abs(alone - Predictor(parts["blip"]).probabilities(corpus.samples)).max() > 1e-5


def test_an_explainer_takes_the_heaviest_trained_member_with_its_own_towers(
    joined: Path,
) -> None:
    pytest.importorskip("captum")
    predictor = Predictor(joined)
    explainer = predictor.explainer()
    assert explainer._classifier is predictor._members[0].classifier
    assert explainer._towers["text"] is predictor._reads[0].towers["text"]


def test_other_backbones_of_the_same_name_are_refused(
    parts: dict[str, Path], corpus: Corpus, weights: Mapping[str, str], tmp_path: Path
) -> None:
    bench = bench_of(corpus, "late_fusion", text=weights["roberta"], image=weights["vit"])
    trained = [train_member(bench, LATE, ROWS, 1, seed=1)]
    assemble(bench, [FinalMember(LATE, trained)], DecisionRule(0.0), tmp_path / "other")
    copy = shutil.copytree(parts["early_fusion"], tmp_path / "early")
    with pytest.raises(ModelError, match="models that are joined must have the same text/"):
        join_models([copy, tmp_path / "other"], RULE, tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"variant": "late"}, "config.json is damaged: members[0].variant: 'late' is not one of"),
        ({"variant": "late_fusion"}, "has no parameter"),
        ({"inputs": {"image_sise": 64}}, "image_sise"),
        ({"precision": "int8"}, "config.json is damaged: members[0].precision: 'int8' is not one"),
        ({"inputs": None}, "config.json is damaged: members[0].inputs: None is not of type"),
    ],
)
def test_a_member_that_does_not_fit_is_named(
    joined: Path, change: dict[str, Any], cause: str
) -> None:
    first, *others = json.loads((joined / "config.json").read_text())["members"]
    change_config(joined, members=[first | change, *others])
    assert cause in fault_of(joined)


def test_a_member_must_say_of_which_variant_it_is(joined: Path) -> None:
    first, *others = json.loads((joined / "config.json").read_text())["members"]
    del first["variant"]
    change_config(joined, members=[first, *others])
    assert "'variant' is a required property" in fault_of(joined)
