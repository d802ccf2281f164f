from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, train_test_split

from tests.sentiments import NEUTRAL, POSITIVE
from trainables.data.sample import Corpus, Fold, Sample
from trainables.data.splits import (
    SplitError,
    duplicate_groups,
    leak_notes,
    make_folds,
    placeholder_notes,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainables.data.splits import Split
from trainables.evaluation.classes import SENTIMENTS
from trainables.seeds import stream_seed


def sample(guid: object, text: str, image: str, label: int | None = None) -> Sample:
    sentiment = None if label is None else label
    return Sample(str(guid), text, Path(f"{guid}.jpg"), image, sentiment)


def corpus_of(labels: Sequence[int]) -> Corpus:
    """A corpus without duplicates."""
    samples = (sample(i, f"text {i}", f"image {i}", label) for i, label in enumerate(labels))
    return Corpus("made", tuple(samples))


MIXED = corpus_of([0] * 60 + [1] * 10 + [2] * 30)


def assert_partition(folds: Sequence[Fold], count: int) -> None:
    for fold in folds:
        for part in (fold.train, fold.val):
            assert part.dtype == np.int64
            assert (np.diff(part) > 0).all()
        np.testing.assert_array_equal(np.union1d(fold.train, fold.val), np.arange(count))
        assert not np.intersect1d(fold.train, fold.val).size
    if len(folds) > 1:
        validated = np.concatenate([fold.val for fold in folds])
        np.testing.assert_array_equal(np.sort(validated), np.arange(count))


def test_shared_texts_and_images_tie_samples_through_others() -> None:
    samples = [
        sample(0, "a", "x"),
        sample(1, "b", "y"),
        sample(2, "", "z"),
        sample(3, " a\n", "w"),  # the text of 0
        sample(4, "c", "w"),  # the image of 3
        sample(5, "", "v"),  # empty texts tie nothing
        sample(6, "x", "y"),  # the image of 1; its text is no image
        sample(7, "b c", "u"),
    ]
    assert duplicate_groups(samples).tolist() == [0, 1, 2, 0, 0, 5, 1, 7]


def test_texts_of_the_same_words_tie_samples() -> None:
    samples = [
        sample(0, "What a day! http://t.co/abc", "x"),
        sample(1, "RT @me: what a DAY", "y"),
        sample(2, "what a day out", "z"),
        sample(3, "http://t.co/1", "w"),  # no words at all: only the same text ties
        sample(4, "http://t.co/2", "v"),
        sample(5, "http://t.co/2 ", "u"),
    ]
    assert duplicate_groups(samples).tolist() == [0, 0, 2, 3, 4, 4]


@pytest.mark.parametrize("split", ["grouped", "stratified"])
def test_repeats_are_folds_that_no_other_seed_has(split: Split) -> None:
    def parts(seed: int, repeats: int) -> list[tuple[int, ...]]:
        made = make_folds(MIXED, split=split, folds=3, seed=seed, repeats=repeats)
        return [tuple(fold.val) for fold in made]

    twice = parts(4, 2)
    assert len(set(twice)) == 6
    assert parts(4, 1) == twice[:3], "more repeats leave the first as it is"
    assert set(twice[3:]).isdisjoint(parts(5, 1))


def test_the_lab_has_one_split_and_repeats_are_at_least_one() -> None:
    with pytest.raises(SplitError, match="repeats must be 1 for split lab, got 2"):
        make_folds(MIXED, split="lab", folds=1, seed=0, repeats=2)
    with pytest.raises(SplitError, match="repeats must be >= 1, got 0"):
        make_folds(MIXED, split="grouped", folds=2, seed=0, repeats=0)


def test_a_late_sample_joins_two_groups() -> None:
    samples = [sample(0, "a", "x"), sample(1, "b", "y"), sample(2, "b", "x")]
    assert duplicate_groups(samples).tolist() == [0, 0, 0]


def test_no_samples_have_no_groups() -> None:
    assert duplicate_groups([]).shape == (0,)


def test_the_lab_split_is_scikit_learns_over_the_tags_whatever_the_seed() -> None:
    tags = [SENTIMENTS.names[s.label] for s in MIXED.labelled if s.label is not None]
    train, val = train_test_split(np.arange(100), test_size=0.2, random_state=42, stratify=tags)
    for seed in (0, 7):
        (fold,) = make_folds(MIXED, split="lab", folds=1, seed=seed)
        np.testing.assert_array_equal(fold.train, sorted(train))
        np.testing.assert_array_equal(fold.val, sorted(val))


@pytest.mark.shared
def test_the_lab_split_of_the_real_data_is_scikit_learns(real: Corpus) -> None:
    guids = [s.guid for s in real.labelled]
    tags = [SENTIMENTS.names[s.label] for s in real.labelled if s.label is not None]
    _, val = train_test_split(guids, test_size=0.2, random_state=42, stratify=tags)
    (fold,) = make_folds(real, split="lab", folds=1, seed=0)
    assert len(val) == 800
    assert {guids[index] for index in fold.val} == set(val)


@pytest.mark.shared
def test_grouped_folds_of_the_real_data_keep_duplicates_and_proportions(real: Corpus) -> None:
    groups = duplicate_groups(real.labelled)
    share = np.bincount(real.labels) / len(real.labels)
    for fold in make_folds(real, split="grouped", folds=5, seed=0):
        assert not np.intersect1d(groups[fold.train], groups[fold.val]).size
        np.testing.assert_allclose(
            np.bincount(real.labels[fold.val]) / len(fold.val), share, atol=0.005
        )


def test_stratified_folds_are_scikit_learns() -> None:
    folds = make_folds(MIXED, split="stratified", folds=5, seed=3)
    splitter = StratifiedKFold(5, shuffle=True, random_state=stream_seed(3, 0))
    reference = splitter.split(MIXED.labels, MIXED.labels)
    for fold, (_, val) in zip(folds, reference, strict=True):
        np.testing.assert_array_equal(fold.val, val)


@pytest.mark.parametrize("split", ["grouped", "stratified"])
@pytest.mark.parametrize("folds", [1, 2, 5])
def test_folds_part_all_samples_in_proportion(split: Split, folds: int) -> None:
    made = make_folds(MIXED, split=split, folds=folds, seed=0)
    assert len(made) == folds
    assert_partition(made, 100)
    share = folds if folds > 1 else 5
    for fold in made:
        expected = np.array([60, 10, 30]) / share
        np.testing.assert_allclose(np.bincount(MIXED.labels[fold.val]), expected, atol=1)


@pytest.mark.parametrize("split", ["grouped", "stratified"])
@pytest.mark.parametrize("folds", [1, 5])
def test_the_seed_makes_the_folds(split: Split, folds: int) -> None:
    one, same, other = (
        [fold.val.tolist() for fold in make_folds(MIXED, split=split, folds=folds, seed=seed)]
        for seed in (0, 0, 1)
    )
    assert one == same != other


ROWS = st.lists(
    st.tuples(st.integers(0, 150), st.integers(0, 150), st.integers(0, 2)),
    min_size=40,
    max_size=80,
)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(ROWS, st.integers(1, 4), st.integers(0, 99))
def test_duplicates_never_straddle_grouped_folds(
    rows: list[tuple[int, int, int]], folds: int, seed: int
) -> None:
    samples = tuple(
        sample(i, f"text {text}", f"image {image}", label)
        for i, (text, image, label) in enumerate(rows)
    )
    try:
        made = make_folds(Corpus("made", samples), split="grouped", folds=folds, seed=seed)
    except SplitError:
        return  # duplicates may tie nearly all together
    assert_partition(made, len(samples))
    counts = Counter(text for s in samples for text in (s.text, s.image_digest))
    placeholders = {text for text, count in counts.items() if count > 10}
    for fold in made:
        train, val = ([samples[index] for index in part] for part in (fold.train, fold.val))
        assert not {s.text for s in train} & {s.text for s in val} - placeholders
        assert not {s.image_digest for s in train} & {s.image_digest for s in val} - placeholders


@pytest.mark.parametrize(
    ("labels", "split", "folds", "told"),
    [
        ([0] * 9 + [2] * 9, "grouped", 0, ["folds must be >= 1, got 0"]),
        ([0] * 9 + [2] * 9, "lab", 2, ["folds must be 1 for split lab, got 2"]),
        (
            [0] * 9 + [2] * 9,
            "stratifed",
            -1,
            ["split must be one of", "did you mean 'stratified'?", "folds must be >= 1, got -1"],
        ),
        (
            [0] * 9 + [1] * 2 + [2] * 3,
            "grouped",
            4,
            [
                "class neutral must have >= 4 samples for 4 folds, got 2",
                "class negative must have >= 4 samples for 4 folds, got 3",
            ],
        ),
        ([0] * 9 + [2] * 4, "stratified", 1, ["negative must have >= 5 samples to hold out a"]),
        ([0] * 9 + [2] * 4, "lab", 1, ["negative must have >= 5 samples to hold out a fifth"]),
        ([], "grouped", 5, ["data must have labelled samples to split, got none"]),
    ],
)
def test_impossible_splits_are_told(
    labels: list[int], split: Split, folds: int, told: list[str]
) -> None:
    with pytest.raises(SplitError) as error:
        make_folds(corpus_of(labels), split=split, folds=folds, seed=0)
    assert len(str(error.value).splitlines()) == (2 if len(told) > 1 else 1)
    for part in told:
        assert part in str(error.value)


@pytest.mark.parametrize("split", ["grouped", "stratified"])
@pytest.mark.parametrize("folds", [1, 5])
def test_five_samples_of_each_class_are_enough_for_a_fifth(split: Split, folds: int) -> None:
    corpus = corpus_of([0, 1, 2] * 5)
    for fold in make_folds(corpus, split=split, folds=folds, seed=0):
        assert sorted(corpus.labels[fold.val]) == [0, 1, 2]


def test_a_class_that_duplicates_tie_into_one_fold_is_told() -> None:
    tied = tuple(sample(i, "the same", f"image {i}", 1) for i in range(10))
    corpus = Corpus("made", corpus_of([0] * 20 + [2] * 20).labelled + tied)
    with pytest.raises(SplitError, match=r"fold \d must train on every class, got no neutral"):
        make_folds(corpus, split="grouped", folds=5, seed=0)
    make_folds(corpus, split="stratified", folds=5, seed=0)


def sharing(part: int, *, what: str, count: int = 120) -> Corpus:
    """Make samples, three sixths positive, one neutral; the first share an image or a text."""
    one = {"image": ("", "logo"), "text": ("Image of the day", "")}
    text, image = one[what]
    return Corpus(
        "made",
        tuple(
            sample(
                i,
                (i < part and text) or f"text {i}",
                (i < part and image) or f"image {i}",
                (0, 1, 0, 2, 0, 2)[i % 6],
            )
            for i in range(count)
        ),
    )


@pytest.mark.parametrize("what", ["image", "text"])
@pytest.mark.parametrize("part", [60, 108])
@pytest.mark.parametrize("folds", [1, 5])
def test_what_many_share_is_a_placeholder_and_ties_none(part: int, what: str, folds: int) -> None:
    corpus = sharing(part, what=what)
    assert duplicate_groups(corpus.labelled).tolist() == list(range(120))
    for fold in make_folds(corpus, split="grouped", folds=folds, seed=0):
        np.testing.assert_array_equal(np.bincount(corpus.labels[fold.val]), [12, 4, 8])
    (note,) = placeholder_notes(corpus.labelled)
    name = "image" if what == "image" else "text 'Image of the day'"
    assert note.startswith(f"{part} of 120 labelled pairs share one {name} (as 0): taken for a")


def test_what_a_few_share_is_a_duplicate() -> None:
    corpus = sharing(10, what="image")
    assert duplicate_groups(corpus.labelled).tolist() == [0] * 10 + list(range(10, 120))
    assert not list(placeholder_notes(corpus.labelled))
    large = sharing(50, what="image", count=1000)
    assert len(np.unique(duplicate_groups(large.labelled))) == 951
    assert not list(placeholder_notes(large.labelled))
    assert len(np.unique(duplicate_groups(sharing(51, what="image", count=1000).labelled))) == 1000


def chained(part: int) -> Corpus:
    """Each of the first `part` shares its text with the one before or its image with the next."""
    made = sharing(0, what="image").labelled
    samples = tuple(
        replace(s, text=f"text {i // 2}", image_digest=f"image {(i + 1) // 2}") if i < part else s
        for i, s in enumerate(made)
    )
    return Corpus("made", samples)


def test_a_split_that_duplicates_make_uneven_is_refused_with_the_rule() -> None:
    # Pairs share no more than one thing with one other, and yet all 60 hang together.
    corpus = chained(60)
    assert len(np.unique(duplicate_groups(corpus.labelled))) == 61
    with pytest.raises(SplitError) as error:
        make_folds(corpus, split="grouped", folds=5, seed=0)
    (total,) = (line for line in str(error.value).splitlines() if "got 60: " in line)
    assert "must validate on 12 to 36 samples, for an even part of 120, got 60: too many" in total
    assert total.endswith("leave some out, or use --split stratified")


def test_a_seed_that_parts_unevenly_is_passed_over() -> None:
    # Forty samples in twelve groups, which only some orders part evenly.
    groups = np.random.default_rng(1).integers(0, 12, 40)
    samples = tuple(sample(i, f"text {g}", f"image {i}", i % 2 * 2) for i, g in enumerate(groups))
    corpus, uneven = Corpus("made", samples), 0
    for seed in range(8):
        splitter = StratifiedGroupKFold(5, shuffle=True, random_state=stream_seed(seed, 0))
        first = [len(val) for _, val in splitter.split(groups, corpus.labels, groups)]
        made = [len(f.val) for f in make_folds(corpus, split="grouped", folds=5, seed=seed)]
        assert min(made) >= 4
        assert max(made) <= 12
        uneven += not 4 <= min(first) <= max(first) <= 12
    assert uneven


def test_of_five_fifths_an_even_one_is_held_out() -> None:
    corpus = chained(60)  # one of the fifths holds half of all, the others are small
    for seed in range(5):
        (fold,) = make_folds(corpus, split="grouped", folds=1, seed=seed)
        assert 12 <= len(fold.val) <= 20


def test_fewer_distinct_samples_than_folds_are_told() -> None:
    samples = [sample(i, f"text {i % 2}", f"image {i}", (i // 2) % 2) for i in range(20)]
    with pytest.raises(SplitError, match="must have >= 3 samples without duplicates, got 2"):
        make_folds(Corpus("made", tuple(samples)), split="grouped", folds=3, seed=0)


def test_a_split_that_comes_with_the_data_is_used_as_it_is() -> None:
    corpus = replace(corpus_of([0, 1, 2] * 4), given_folds=(-1, 0, 0, 1, 1, -1) * 2)
    first, second = make_folds(corpus, split="grouped", folds=5, seed=7)
    assert first.val.tolist() == [1, 2, 7, 8]
    assert second.val.tolist() == [3, 4, 9, 10]
    assert first.train.tolist() == [0, 3, 4, 5, 6, 9, 10, 11]


def test_a_given_split_without_a_class_in_training_is_refused() -> None:
    corpus = replace(corpus_of([0, 0, 1]), given_folds=(-1, -1, 0))
    with pytest.raises(SplitError, match=r"fold 1 must train on every class, got no neutral"):
        make_folds(corpus, split="grouped", folds=1, seed=0)


def test_what_leaks_across_given_parts_is_counted() -> None:
    learnt = [sample(i, text, f"image {i}", i % 3) for i, text in enumerate("abacde")]
    rest = [sample(i, text, f"image {i}") for i, text in enumerate("azb", 10)]
    corpus = Corpus(
        "made",
        tuple(learnt),
        tuple(rest),
        given_folds=(-1, -1, 0, 0, -1, -1),  # an a, and a c
        held_out=(POSITIVE, NEUTRAL, None),  # an a, and a z
    )
    validated, tested = leak_notes(corpus)
    assert validated.startswith("1 of the 2 pairs to validate on share their text or image")
    assert tested.startswith("1 of the 2 pairs held out share their text or image")
    alone = replace(corpus, held_out=(None, NEUTRAL, None))
    assert list(leak_notes(alone))[1].startswith("none of the 1 pairs held out shares")


def test_without_a_given_split_no_texts_are_compared_for_leaks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("trainables.data.splits.duplicate_groups", None)
    assert not list(leak_notes(MIXED))
