"""The module that is exported: the same probabilities as the predictor's, from raw inputs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from tests.trainables.inference.export.models import MODELS, RULE
from trainables.inference.predictor import Predictor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trainables.data.sample import Corpus

CPU = torch.device("cpu")


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_the_graph_of_every_model_gives_the_predictors_probabilities(
    model_of: Callable[[str], Path], corpus: Corpus, name: str
) -> None:
    predictor = Predictor(model_of(name), CPU)
    graph, samples = predictor.graph(), list(corpus.unlabelled)
    if predictor.inputs.missing == "allow":  # for which each tower has a colour of its own
        samples[:2] = [replace(samples[0], image=None), replace(samples[1], text="")]
    given = graph.inputs.of(samples)
    assert list(given) == graph.inputs.names == list(graph.inputs.example())
    with torch.no_grad():
        probabilities, calibrated = graph(given)
    expected = predictor.probabilities(samples)
    assert expected.std(axis=0).max() > 1e-3  # were all alike, the comparison would show little
    np.testing.assert_allclose(probabilities, expected, atol=1e-6)
    np.testing.assert_allclose(calibrated, RULE.calibrate(expected), atol=1e-6)
