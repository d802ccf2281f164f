"""Score a model on labelled pairs that had no part in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from analysis.run_folder.folder import RunFolder
from analysis.run_folder.test_record import TestScores
from trainables.data.corpus import Allowed, CorpusError, load_pairs
from trainables.data.files import FileError, read_regular
from trainables.data.images import MAX_IMAGE_BYTES
from trainables.data.sample import Sample, image_digest
from trainables.data.splits import duplicate_groups
from trainables.evaluation.metrics import scores_of
from trainables.evaluation.resampling import Validated, interval, resampled_scores
from trainables.evaluation.scores import classification_scores, confusion
from trainables.inference.about import read_about

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from trainables.data.corpus import Spelling
    from trainables.data.sample import Corpus
    from trainables.evaluation.classes import Classes


def score_test_set(
    corpus: Corpus, probabilities: NDArray[np.floating], decided: NDArray[np.int64], seed: int
) -> TestScores | None:
    """Score predictions for the unlabelled samples of a data set against its test set.

    Args:
        corpus: The data, whose labelled samples were learnt from.
        probabilities: Calibrated class probabilities of the unlabelled samples, shape (U, C).
        decided: Their predicted classes, shape (U,).
        seed: Of the bootstrap.

    Returns:
        The scores; None where the data have no labelled test set.
    """
    if not len(corpus.tested):
        return None
    pairs, labels = labelled_pairs(corpus)
    shown, classes = probabilities[corpus.tested], decided[corpus.tested]
    return score_pairs(
        pairs, predicted(labels, shown, classes, corpus.classes), corpus.labelled, seed=seed
    )


def predicted(
    labels: NDArray[np.int64],
    probabilities: NDArray[np.floating],
    decided: NDArray[np.int64],
    classes: Classes,
) -> Validated:
    """Take predictions for N labelled pairs together, as one fold.

    Args:
        labels: Their classes, shape (N,).
        probabilities: Calibrated class probabilities, shape (N, C).
        decided: Predicted classes, shape (N,).
        classes: The C classes.

    Returns:
        The predictions.
    """
    rows = np.arange(len(labels))
    return Validated(rows, np.zeros_like(rows), labels, probabilities, decided, classes=classes)


def score_pairs(
    pairs: Sequence[Sample], made: Validated, learnt: Sequence[Sample] = (), *, seed: int = 0
) -> TestScores:
    """Score predictions for labelled pairs.

    Args:
        pairs: N pairs.
        made: The predictions for them.
        learnt: The labelled pairs that the model was trained on; empty if they are not known.
        seed: Of the bootstrap.

    Returns:
        The scores.
    """
    groups = duplicate_groups([*learnt, *pairs])
    known, mine = groups[: len(learnt)], groups[len(learnt) :]
    made, labels, classes = replace(made, groups=mine), made.labels, made.classes
    trained = np.array([sample.label for sample in learnt] or labels, dtype=np.int64)
    commonest = np.full_like(labels, np.bincount(trained).argmax())
    counts = np.bincount(labels, minlength=len(classes))
    names = scores_of(classes)
    return TestScores(
        pairs=len(pairs),
        classes={name: int(count) for name, count in zip(classes.names, counts, strict=True)},
        shared=int(np.isin(mine, known).sum()),
        scores={name: made.score(name) for name in names},
        intervals={name: interval(resampled_scores(name, [made], seed=seed)[0]) for name in names},
        majority=classification_scores(labels, commonest, classes),
        confusion=tuple(
            tuple(map(int, row)) for row in confusion(labels, made.decided, len(classes))
        ),
    )


def evaluate(
    model: Path,
    run: Path,
    data: Path,
    spelling: Spelling,
    *,
    allow_outside: bool = False,
) -> tuple[TestScores, list[str]]:
    """Score a model folder on a labelled data set.

    Args:
        model: The model folder.
        run: The run folder that it is in, which says what was learnt from; any other is not read.
        data: The data set: the test part of its column `split`, or else all that has a tag.
        spelling: How its lists and texts are spelt.
        allow_outside: Whether files may lie outside the data's folder.

    Returns:
        The scores, and sentences on data and model.

    Raises:
        ValueError: If data or model cannot be used, or no pair has a tag.
    """
    from trainables.inference.predictor import Predictor  # noqa: PLC0415 - it imports torch

    about = read_about(model)
    corpus = load_pairs(
        data,
        allowed=Allowed(allow_outside, about["inputs"].get("missing", "refuse")),
        modality=about["modality"],
        spelling=spelling,
    )
    pairs, labels = labelled_pairs(corpus)
    predictor = Predictor(model)
    raw = predictor.probabilities(pairs)
    decided, shown = predictor.rule.decide(raw), predictor.rule.calibrate(raw)
    notes = list(corpus.notes)
    if predictor.random_backbones:
        roles = " and ".join(predictor.random_backbones)
        notes.append(f"{roles} weights were random: this model is a demonstration")
    made = predicted(labels, shown, decided, predictor.classes)
    return score_pairs(pairs, made, _learnt(RunFolder(run))), notes


def labelled_pairs(corpus: Corpus) -> tuple[list[Sample], NDArray[np.int64]]:
    """Return the pairs to score and their classes: the test part where there is one, else all.

    Raises:
        CorpusError: If no pair has a tag.
    """
    if len(corpus.tested):
        return [corpus.unlabelled[row] for row in corpus.tested], corpus.test_labels
    if not corpus.labelled:
        msg = f"--data must have pairs with a tag, got none in {corpus.name}"
        raise CorpusError(msg)
    return list(corpus.labelled), corpus.labels


def _learnt(folder: RunFolder) -> list[Sample]:
    """Return the labelled pairs of a run, as far as its folder and their images are there."""
    if not folder.samples.exists():
        return []
    table, names = folder.read_samples().dropna(subset="tag"), folder.classes.names
    columns = (table[name].astype(str) for name in ("guid", "text", "image", "tag"))
    return [
        Sample(guid, text, None, _digest(image), names.index(tag))
        for guid, text, image, tag in zip(*columns, strict=True)
    ]


def _digest(image: str) -> str:
    try:
        return image_digest(read_regular(Path(image), MAX_IMAGE_BYTES)) if image else ""
    except FileError:  # it has moved since: its text is compared alone
        return ""
