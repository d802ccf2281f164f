"""Score a model on labelled pairs that had no part in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from analysis.run_folder.folder import RunFolder
from analysis.run_folder.test_record import TestScores
from trainables.data.corpus import Allowed, CorpusError, load_pairs
from trainables.data.encodings import Decoder
from trainables.data.files import FileError, read_regular
from trainables.data.images import MAX_IMAGE_BYTES
from trainables.data.sample import Sample, image_digest
from trainables.data.splits import duplicate_groups
from trainables.evaluation.classes import CLASSES, Sentiment
from trainables.evaluation.metrics import SCORES
from trainables.evaluation.resampling import Validated, interval, resampled_scores
from trainables.evaluation.scores import classification_scores, confusion
from trainables.inference.about import read_about

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from trainables.data.sample import Corpus


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
    return score_pairs(pairs, labels, shown, classes, corpus.labelled, seed=seed)


def score_pairs(
    pairs: Sequence[Sample],
    labels: NDArray[np.int64],
    probabilities: NDArray[np.floating],
    decided: NDArray[np.int64],
    learnt: Sequence[Sample] = (),
    *,
    seed: int = 0,
) -> TestScores:
    """Score predictions for labelled pairs.

    Args:
        pairs: N pairs.
        labels: Their classes, shape (N,).
        probabilities: Calibrated class probabilities, shape (N, C).
        decided: Predicted classes, shape (N,).
        learnt: The labelled pairs that the model was trained on; empty if they are not known.
        seed: Of the bootstrap.

    Returns:
        The scores.
    """
    groups = duplicate_groups([*learnt, *pairs])
    known, mine = groups[: len(learnt)], groups[len(learnt) :]
    rows = np.arange(len(pairs))
    validated = Validated(rows, np.zeros_like(rows), labels, probabilities, decided, mine)
    trained = np.array([sample.label for sample in learnt] or labels, dtype=np.int64)
    commonest = np.full_like(labels, np.bincount(trained).argmax())
    counts = np.bincount(labels, minlength=len(CLASSES))
    return TestScores(
        pairs=len(pairs),
        classes={name: int(count) for name, count in zip(CLASSES, counts, strict=True)},
        shared=int(np.isin(mine, known).sum()),
        scores={name: validated.score(name) for name in SCORES},
        intervals={
            name: interval(resampled_scores(name, [validated], seed=seed)[0]) for name in SCORES
        },
        majority=classification_scores(labels, commonest),
        confusion=tuple(tuple(map(int, row)) for row in confusion(labels, decided)),
    )


def evaluate(
    model: Path, run: Path, data: Path, *, allow_outside: bool = False, encoding: str | None = None
) -> tuple[TestScores, list[str]]:
    """Score a model folder on a labelled data set.

    Args:
        model: The model folder.
        run: The run folder that it is in, which says what was learnt from; any other is not read.
        data: The data set: the test part of its column `split`, or else all that has a tag.
        allow_outside: Whether files may lie outside the data's folder.
        encoding: Of texts that are not UTF-8; None finds it.

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
        decoder=Decoder(encoding, about["inputs"].get("encoding")),
    )
    pairs, labels = labelled_pairs(corpus)
    predictor = Predictor(model)
    raw = predictor.probabilities(pairs)
    decided, shown = predictor.rule.decide(raw), predictor.rule.calibrate(raw)
    notes = list(corpus.notes)
    if predictor.random_backbones:
        roles = " and ".join(predictor.random_backbones)
        notes.append(f"{roles} weights were random: this model is a demonstration")
    return score_pairs(pairs, labels, shown, decided, _learnt(RunFolder(run))), notes


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
    table = folder.read_samples().dropna(subset="tag")
    columns = (table[name].astype(str) for name in ("guid", "text", "image", "tag"))
    return [
        Sample(guid, text, None, _digest(image), Sentiment[tag.upper()])
        for guid, text, image, tag in zip(*columns, strict=True)
    ]


def _digest(image: str) -> str:
    try:
        return image_digest(read_regular(Path(image), MAX_IMAGE_BYTES)) if image else ""
    except FileError:  # it has moved since: its text is compared alone
        return ""
