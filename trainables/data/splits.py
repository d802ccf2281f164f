"""Split the labelled samples into training and validation, reproducibly from a seed."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import numpy as np

from trainables.config import nearest
from trainables.data.sample import Fold
from trainables.data.text import clean_text
from trainables.seeds import stream_seed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from trainables.data.sample import Corpus, Sample

    _Parts = Iterable[tuple[NDArray[np.int64], NDArray[np.int64]]]

Split = Literal["grouped", "stratified", "lab"]

# What is shared by more samples than both of these is a placeholder: 1/20 of all, and 10.
_PLACEHOLDER_PART, _FEW = 20, 10
# Tolerated deviation of a fold from an even share: relative, and at least so many samples.
_OFF, _OFF_SAMPLES = 0.5, 2
# With large groups, some seeds give uneven folds.
_ATTEMPTS = 10
# A single fold validates on a fifth, as in the lab's split.
_FIFTHS = 5
_LAB_SEED = 42
_TIED = "too many samples are duplicates of each other; leave some out, or use --split stratified"


class Labels(NamedTuple):
    """The classes of labelled samples, and what they are called.

    Attributes:
        of: The class of each, shape (N,), int64.
        names: By class.
    """

    of: NDArray[np.int64]
    names: tuple[str, ...]


class SplitError(ValueError):
    """The samples cannot be split as requested; the message lists all faults."""


def make_folds(
    corpus: Corpus, *, split: Split, folds: int, seed: int, repeats: int = 1
) -> tuple[Fold, ...]:
    """Split the labelled samples, stratified by class.

    Args:
        corpus: The data set with N labelled samples; a split that comes with it is used as it is.
        split: `grouped` keeps samples that share a text or an image in one fold; `stratified`
            splits at random; `lab` is the split of the lab's reported results.
        folds: Number of folds K, >= 1; with K > 1 each sample is validated once, with K = 1 a
            fifth is.
        seed: Seed of the shuffling, with an independent stream per repeat; `lab` has its own seed.
        repeats: Number of repetitions with a new shuffling, >= 1.

    Returns:
        `repeats` times `folds` folds, each over all N samples.

    Raises:
        SplitError: If `split` is unknown, `folds` or `repeats` is out of range, a class has too
            few samples, or groups of duplicates are so large that a fold lacks a class in
            training, or differs by more than half from an even share of all samples or of a class
            in validation.
    """
    if corpus.given_folds is not None:
        return _given(corpus)
    labels = Labels(corpus.labels, corpus.classes.names)
    faults = list(_faults(labels, split, folds, repeats))
    if faults:
        raise SplitError("\n".join(faults))
    groups = duplicate_groups(corpus.labelled) if split == "grouped" else None
    made = []
    for repeat in range(repeats):
        own = _LAB_SEED if split == "lab" else stream_seed(seed, repeat)
        if groups is not None:
            parts = _grouped(labels, groups, folds, own)
        elif folds == 1:
            parts = _held_out(labels, own)
        else:
            parts = _stratified(labels.of, folds, own)
        made += [Fold(np.sort(train), np.sort(val)) for train, val in parts]
    shares = folds if folds > 1 else _FIFTHS
    if faults := [*_gaps(labels, made), *_uneven(labels, made, shares)]:
        raise SplitError("\n".join(faults))
    return tuple(made)


def _given(corpus: Corpus) -> tuple[Fold, ...]:
    """Make the folds that come with the data; what no fold validates trains in all of them."""
    labels, validated_in = corpus.labels, np.array(corpus.given_folds)
    rows = [np.flatnonzero(validated_in == k) for k in range(int(validated_in.max()) + 1)]
    folds = tuple(Fold(np.setdiff1d(np.arange(len(labels)), val), val) for val in rows)
    named = Labels(labels, corpus.classes.names)
    if faults := list(_gaps(named, folds, "the split of the data must be another")):
        raise SplitError("\n".join(faults))
    return folds


def leak_notes(corpus: Corpus) -> Iterator[str]:
    """Yield a sentence on each part of a given split that shares pairs with what is learnt."""
    if corpus.given_folds is None and not corpus.held_out:
        return  # before the texts are compared, which takes a while for many
    count = len(corpus.labelled)
    groups = duplicate_groups(corpus.samples)
    learnt = groups[:count]
    if corpus.given_folds is not None:
        folds = _given(corpus)
        leaks = sum(int(np.isin(learnt[f.val], learnt[f.train]).sum()) for f in folds)
        yield _leak(leaks, sum(len(fold.val) for fold in folds), "to validate on")
    if len(corpus.tested):
        leaks = int(np.isin(groups[count:][corpus.tested], learnt).sum())
        yield _leak(leaks, len(corpus.tested), "held out")


def _leak(leaks: int, count: int, what: str) -> str:
    if not leaks:
        return f"none of the {count:,} pairs {what} shares its text or image with the training"
    return (
        f"{leaks:,} of the {count:,} pairs {what} share their text or image with pairs that are"
        " trained on: their scores flatter; the split is used as it was given"
    )


def duplicate_groups(samples: Sequence[Sample]) -> NDArray[np.int64]:
    """Group samples that share a text or an image, directly or through others.

    Texts are compared stripped of surrounding white space, and again as their cleaned words (lower
    case, without mentions, links and punctuation), so a tweet and its retweet are grouped. Empty
    texts are ignored, as is anything shared by more than a twentieth of the samples (and more than
    ten): an image "not found" is a placeholder, not a duplicate.

    Args:
        samples: N samples.

    Returns:
        The group of each sample, shape (N,), int64: the index of the group's first sample.
    """
    parents = list(range(len(samples)))

    def root(index: int) -> int:
        while parents[index] != index:
            parents[index] = parents[parents[index]]
            index = parents[index]
        return index

    most = _most_tied(len(samples))
    for sharing in _sharing(samples).values():
        if len(sharing) > most:
            continue
        for index in sharing[1:]:
            one, other = root(index), root(sharing[0])
            parents[max(one, other)] = min(one, other)
    return np.array([root(index) for index in range(len(samples))], dtype=np.int64)


def placeholder_notes(samples: Sequence[Sample]) -> Iterator[str]:
    """Yield a sentence on each text or image shared by too many samples to be a duplicate."""
    most, reported = _most_tied(len(samples)), set()
    for (kind, _), sharing in _sharing(samples).items():
        # A text and its words are reported once.
        thing = kind == "image", sharing[0]
        if len(sharing) <= most or thing in reported:
            continue
        reported.add(thing)
        first = samples[sharing[0]]
        name = "image" if kind == "image" else f"text {textwrap.shorten(first.text, 40)!r}"
        yield (
            f"{len(sharing):,} of {len(samples):,} labelled pairs share one {name} (as"
            f" {first.guid}): taken for a placeholder, so it keeps none of them on one side"
        )


def _sharing(samples: Sequence[Sample]) -> dict[tuple[str, str], list[int]]:
    """Return the indices of the samples that share each image, text and words, in order."""
    sharing: dict[tuple[str, str], list[int]] = {}
    for index, sample in enumerate(samples):
        keys = {
            "image": sample.image_digest,
            "words": clean_text(sample.text, "basic"),
            "text": sample.text.strip(),
        }
        for key in keys.items():
            if key[1]:
                sharing.setdefault(key, []).append(index)
    return sharing


def _most_tied(count: int) -> int:
    return max(_FEW, count // _PLACEHOLDER_PART)


def _faults(labels: Labels, split: str, folds: int, repeats: int) -> Iterator[str]:
    if split not in get_args(Split):
        names = get_args(Split)
        yield f"split must be one of {', '.join(names)}, got {split!r}; {nearest(split, names)}"
    for name, value in (("folds", folds), ("repeats", repeats)):
        if value < 1:
            yield f"{name} must be >= 1, got {value}"
        if split == "lab" and value > 1:
            yield f"{name} must be 1 for split lab, got {value}; use split grouped or stratified"
    if len(labels.of) == 0:
        yield "data must have labelled samples to split, got none"
    needed = folds if folds > 1 else _FIFTHS
    for label, count in zip(*np.unique(labels.of, return_counts=True), strict=True):
        if count < needed:
            aim = f"for {folds} folds" if folds > 1 else "to hold out a fifth"
            tag = labels.names[label]
            yield f"class {tag} must have >= {needed} samples {aim}, got {count}"


def _gaps(labels: Labels, folds: Sequence[Fold], remedy: str = _TIED) -> Iterator[str]:
    for number, fold in enumerate(folds, 1):
        for label in np.setdiff1d(labels.of, labels.of[fold.train]):
            tag = labels.names[label]
            yield f"fold {number} must train on every class, got no {tag}: {remedy}"


def _uneven(labels: Labels, folds: Sequence[Fold], shares: int) -> Iterator[str]:
    for number, fold in enumerate(folds, 1):
        for name, rows in _kinds(labels):
            low, high = _bounds(len(rows), shares)
            got = len(np.intersect1d(fold.val, rows))
            if not low <= got <= high:
                rule = f"fold {number} must validate on {low} to {high} {name}"
                yield f"{rule}, for an even part of {len(rows):,}, got {got:,}: {_TIED}"
                break  # one fault per fold is enough


def _kinds(labels: Labels) -> Iterator[tuple[str, NDArray[np.intp]]]:
    yield "samples", np.arange(len(labels.of))
    for label in np.unique(labels.of):
        yield f"{labels.names[label]} samples", np.flatnonzero(labels.of == label)


def _bounds(count: int, shares: int) -> tuple[int, int]:
    even = count / shares
    off = max(_OFF_SAMPLES, _OFF * even)
    return max(0, math.ceil(even - off)), math.floor(even + off)


# scikit-learn is imported late: it takes over a second, and most commands make no split.


def _held_out(labels: Labels, seed: int) -> _Parts:
    from sklearn.model_selection import train_test_split  # noqa: PLC0415 - late, see above

    # The result depends on the order of the classes; the lab's is that of their names.
    tags = np.array(labels.names)[labels.of]
    share = 1 / _FIFTHS
    train, val = train_test_split(
        np.arange(len(tags)), test_size=share, random_state=seed, stratify=tags
    )
    return [(train, val)]


def _stratified(labels: NDArray[np.int64], folds: int, seed: int) -> _Parts:
    from sklearn.model_selection import StratifiedKFold  # noqa: PLC0415 - late, see above

    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    parts: _Parts = splitter.split(labels, labels)
    return parts


def _grouped(labels: Labels, groups: NDArray[np.int64], folds: int, seed: int) -> _Parts:
    from sklearn.model_selection import StratifiedGroupKFold  # noqa: PLC0415 - late, see above

    count = folds if folds > 1 else _FIFTHS
    if (distinct := len(np.unique(groups))) < count:
        msg = f"data must have >= {count} samples without duplicates, got {distinct}: {_TIED}"
        raise SplitError(msg)
    for attempt in range(_ATTEMPTS):
        own = stream_seed(seed, attempt) if attempt else seed
        splitter = StratifiedGroupKFold(count, shuffle=True, random_state=own)
        parts = list(splitter.split(labels.of, labels.of, groups))
        if folds == 1:  # any of the five parts will do: take the first valid one
            parts = next(([part] for part in parts if _is_fit(labels, [part], count)), parts[:1])
        if _is_fit(labels, parts, count):
            break
    return parts


def _is_fit(labels: Labels, parts: _Parts, shares: int) -> bool:
    folds = [Fold(*part) for part in parts]
    return not any(_gaps(labels, folds)) and not any(_uneven(labels, folds, shares))
