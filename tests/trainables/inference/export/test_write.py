"""What is written for others: they decide as the predictor does, by the files alone."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")

from tests.trainables.inference.export.models import MODELS
from tests.trainables.inference.export.outsider import classify
from trainables.inference.export import write
from trainables.inference.export.check import check
from trainables.inference.export.graph import ExportError, write_graph
from trainables.inference.export.write import export_model
from trainables.inference.predictor import Predictor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from torch import Tensor

    from trainables.data.sample import Corpus, Sample
    from trainables.inference.export.graph import ProbabilityGraph

CPU = torch.device("cpu")
POSTED = (
    "RT @user: what a LOVELY day!!! \U0001f60a sooo good https://x.co/a #river",
    "it\u2019s not good :( @user  twilight!the  day",
)


def pairs_of(corpus: Corpus) -> list[Sample]:
    """Pairs of the corpus, some of whose texts look like posts."""
    samples = list(corpus.samples[:9])
    posts = [replace(s, text=text) for s, text in zip(samples, POSTED, strict=False)]
    return [*posts, *samples[len(posts) :]]


def others_decide_as_we_do(model: Path, graph: Path, corpus: Corpus) -> None:
    predictor, pairs = Predictor(model, CPU), pairs_of(corpus)
    if predictor.inputs.missing == "allow":
        pairs[3:5] = [replace(pairs[3], image=None), replace(pairs[4], text="")]
    inputs = predictor.graph().inputs
    assert list(inputs.of(pairs)) == inputs.names == list(inputs.example())
    ours = predictor.probabilities(pairs)
    assert ours.std(axis=0).max() > 1e-3  # were all alike, the comparison would show little
    posted = [(sample.text, sample.image) for sample in pairs]
    tags, probabilities, calibrated = classify(graph, posted)
    np.testing.assert_allclose(probabilities, ours, atol=1e-5)
    np.testing.assert_allclose(calibrated, predictor.rule.calibrate(ours), atol=1e-5)
    assert tags == [prediction.tag for prediction in predictor.predict(pairs)]


@pytest.fixture(scope="module")
def of_texts(model_of: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The graph of the model of texts, checked on made-up pairs and moved away."""
    folder = tmp_path_factory.mktemp("graph")
    done = export_model(model_of("text alone"), folder / "made" / "sentiment.onnx")
    assert [path.name for path in done.files] == [
        "sentiment.onnx",
        "sentiment.onnx.tokenizers",
        "sentiment.onnx.json",
    ]
    assert (done.pairs, done.made_up, done.random_backbones) == (4, True, [])
    assert done.checked.difference < 1e-5
    assert done.checked.rounding == 0
    assert sorted(done.files) == sorted((folder / "made").iterdir())
    shutil.move(folder / "made", folder / "moved")
    return folder / "moved" / "sentiment.onnx"


@pytest.mark.slow
def test_others_decide_as_a_model_of_texts_does(
    model_of: Callable[[str], Path], of_texts: Path, corpus: Corpus
) -> None:
    others_decide_as_we_do(model_of("text alone"), of_texts, corpus)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in MODELS if name != "text alone"])
def test_others_decide_as_every_model_does(
    model_of: Callable[[str], Path], corpus: Corpus, tmp_path: Path, name: str
) -> None:
    done = export_model(model_of(name), tmp_path / "sentiment.onnx", corpus.samples[:5])
    assert (done.pairs, done.made_up) == (5, False)
    others_decide_as_we_do(model_of(name), done.files[0], corpus)


@pytest.mark.slow
def test_large_weights_lie_beside_the_graph(
    model_of: Callable[[str], Path], corpus: Corpus, tmp_path: Path
) -> None:
    predictor = Predictor(model_of("image alone"), CPU)
    write_graph(predictor.graph(), tmp_path / "large.onnx", most_bytes=1000)
    small, large = (tmp_path / name for name in ("large.onnx", "large.onnx.data"))
    assert small.stat().st_size < large.stat().st_size
    assert check(small, predictor, corpus.samples[:3]).difference < 1e-5


@pytest.mark.slow
def test_a_graph_that_disagrees_is_not_left(
    model_of: Callable[[str], Path],
    of_texts: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def of_another_model(graph: ProbabilityGraph, path: Path) -> None:
        shutil.copy(of_texts, path)
        for parameter in graph.classifiers.parameters():
            parameter.data *= 0.9

    monkeypatch.setattr(write, "write_graph", of_another_model)
    with pytest.raises(ExportError, match=r"within 0\.0001, got a difference of 0\..*nothing was"):
        export_model(model_of("text alone"), tmp_path / "sentiment.onnx")
    assert not list(tmp_path.iterdir())


def test_a_file_that_onnxruntime_cannot_run_is_refused(
    model_of: Callable[[str], Path], corpus: Corpus, tmp_path: Path
) -> None:
    (tmp_path / "torn.onnx").write_bytes(b"torn")
    predictor = Predictor(model_of("text alone"), CPU)
    with pytest.raises(ExportError, match="onnxruntime cannot run the exported graph"):
        check(tmp_path / "torn.onnx", predictor, corpus.samples[:2])


@pytest.mark.slow
def test_what_fewer_bits_change_is_told_apart_from_what_the_export_does(
    model_of: Callable[[str], Path], of_texts: Path, corpus: Corpus
) -> None:
    predictor = Predictor(model_of("text alone"), CPU)
    exact = predictor.probabilities(corpus.unlabelled)
    predictor._precisions = ["bfloat16"]
    rounded = predictor.probabilities(corpus.unlabelled)
    checked = check(of_texts, predictor, corpus.unlabelled)
    assert checked.difference < 1e-5
    assert checked.rounding == pytest.approx(float(np.abs(rounded - exact).max()))
    assert checked.rounding > 1e-4


@pytest.mark.slow
def test_what_pytorch_cannot_export_is_refused_with_its_towers(
    model_of: Callable[[str], Path], tmp_path: Path
) -> None:
    class Undecided(nn.Module):
        def forward(self, embeddings: Mapping[str, Tensor]) -> Tensor:
            (values,) = embeddings.values()
            return values[:, :3] if values.sum() > 0 else values[:, 3:6]

    graph = Predictor(model_of("text alone"), CPU).graph()
    graph.classifiers[0].head.forward = Undecided().forward
    with pytest.raises(ExportError, match="cannot export this model, of DistilBertModel, to ONNX"):
        write_graph(graph, tmp_path / "no.onnx")
