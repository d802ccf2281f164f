from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analysis.report.plots_model import (
    loss_figure,
    reliability_figure,
    score_figure,
    threshold_figure,
)
from trainables.evaluation.resampling import Validated

if TYPE_CHECKING:
    from analysis.run_folder.run import Run


def test_learning_curves_have_bands_of_the_spread_over_folds(run: Run) -> None:
    figure = loss_figure(run, 0)
    assert figure is not None
    bands = [trace for trace in figure.plot.data if trace.fill == "toself"]
    assert len(bands) == 1  # the training loss has no spread
    assert figure.reading == "Validation loss is lowest at epoch 6 of 6: it was still falling."
    scores = score_figure(run, 0)
    assert scores is not None
    assert "Bands are one standard deviation over 3 folds." in scores.reading


def said(probabilities: list[list[float]], labels: list[int]) -> Validated:
    rows = np.arange(len(labels))
    values = np.array(probabilities)
    return Validated(rows, rows * 0, np.array(labels), values, values.argmax(axis=1))


def test_overconfidence_is_named() -> None:
    figure = reliability_figure(said([[0.95, 0.03, 0.02]] * 4, [0, 0, 1, 2]), 2.0)
    assert figure.reading == (
        "Expected calibration error 0.450: on the whole overconfident. "
        "The final model divides logits by 2.00 to mend it."
    )
    honest = reliability_figure(said([[0.5, 0.3, 0.2]] * 4, [0, 0, 1, 2]), None)
    assert honest.reading == (
        "Expected calibration error 0.000: probabilities mean what they say."
    )


def test_the_best_threshold_is_named_and_said_to_flatter() -> None:
    # The third is right only when it counts as neutral: under 0.6, and at or above 0.5.
    validated = said(
        [[0.9, 0.05, 0.05], [0.05, 0.05, 0.9], [0.5, 0.3, 0.2], [0.6, 0.3, 0.1]], [0, 2, 1, 0]
    )
    figure = threshold_figure(validated, "accuracy", 0.4, None)
    assert figure.reading == (
        "Accuracy would be best, 1.0000, at 0.600 on these very samples, which flatters it."
    )
    assert [note.text for note in figure.plot.layout.annotations] == [" searched 0.40"]
    figure = threshold_figure(validated, "accuracy", 0.401, 0.404)
    assert [note.text for note in figure.plot.layout.annotations] == [" searched and shipped 0.40"]
    figure = threshold_figure(validated, "accuracy", 0.4, 0.42)
    heights = {note.text: note.y for note in figure.plot.layout.annotations}
    assert heights[" shipped 0.42"] - heights[" searched 0.40"] > 0.05, "words do not overlap"
    never = said([[0.9, 0.05, 0.05], [0.05, 0.05, 0.9]], [0, 2])
    figure = threshold_figure(never, "accuracy", None, None)
    assert figure.reading == "No threshold beats saying what is likeliest."
