"""From tags to classes: names, order, spellings, the fallback class, and what is refused."""

from __future__ import annotations

import pytest

from trainables.data.faults import CorpusError, Faults
from trainables.data.tags import Reading, Tagged, Tagging, TagsError, parse_tags, read_tags
from trainables.evaluation.classes import SENTIMENTS, Classes, classes_named


def read(*tags: str, tagging: Tagging | None = None, test: tuple[str, ...] = ()) -> Reading:
    """Read tags, six pairs of each, and raise what is wrong with them."""
    found = [Tagged(tag, f"line {n}", True) for n, tag in enumerate(tags)] * 6
    faults = Faults()
    found += [Tagged(tag, "the test set", False) for tag in test]
    reading = read_tags(found, tagging or Tagging(), faults)
    faults.raise_any("the data")
    return reading


def test_the_labs_classes_keep_their_order_and_need_no_word() -> None:
    assert read("negative", "positive", "neutral") == (
        SENTIMENTS,
        {"positive": 0, "neutral": 1, "negative": 2},
        (),
    )


@pytest.mark.parametrize(
    ("tags", "labels", "said"),
    [
        (("pos", "NEG", "Neutral"), [0, 2, 1], "NEG as negative, Neutral as neutral, pos as pos"),
        (("-1", "0", "1"), [2, 1, 0], "-1 as negative, 0 as neutral, 1 as positive"),
        (("-1.0", "0.0", "1.0"), [2, 1, 0], "-1.0 as negative, 0.0 as neutral"),
        (("+1", "0", "-1"), [0, 1, 2], "+1 as positive, -1 as negative, 0 as neutral"),
    ],
)
def test_usual_spellings_of_sentiments_are_read_and_said(
    tags: tuple[str, ...], labels: list[int], said: str
) -> None:
    reading = read(*tags)
    assert reading.classes == SENTIMENTS
    assert [reading.label_of[tag] for tag in tags] == labels
    (note,) = reading.notes
    assert note.startswith(f"tags are read as classes: {said}")


def test_two_of_the_labs_classes_are_two_classes_without_a_fallback() -> None:
    reading = read("neg", "pos")
    assert reading.classes == Classes(("positive", "negative"), None)


@pytest.mark.parametrize(
    ("tags", "names"),
    [
        (("0", "1"), ("0", "1")),  # of what, nothing says
        (("10", "9", "-2"), ("-2", "9", "10")),
        (("1.0", "5", "2"), ("1", "2", "5")),
        (("sarcastic", "Not sarcastic"), ("Not sarcastic", "sarcastic")),
        (("joy", "anger", "Neutral"), ("anger", "joy", "Neutral")),
        (
            ("negative", "mixed", "positive", "neutral"),
            ("mixed", "negative", "neutral", "positive"),
        ),
    ],
)
def test_other_tags_are_classes_as_they_stand_in_order(
    tags: tuple[str, ...], names: tuple[str, ...]
) -> None:
    assert read(*tags).classes.names == names


def test_neutral_is_the_fallback_wherever_it_is_a_class() -> None:
    assert read("joy", "anger", "Neutral").classes.fallback_name == "Neutral"
    assert read("joy", "anger").classes.fallback is None
    asked = Tagging(fallback="Other")
    assert read("joy", "anger", "other", tagging=asked).classes.fallback_name == "other"


def test_spellings_that_differ_by_case_alone_are_the_commonest() -> None:
    reading = read("Joy", "Joy", "joy", "anger")
    assert reading.classes.names == ("anger", "Joy")
    assert reading.label_of["joy"] == reading.label_of["Joy"] == 1
    assert reading.notes == ("tags are read as classes: joy as Joy",)


def test_tags_are_mapped_to_classes_in_the_order_given() -> None:
    given = parse_tags(["1=bad,2=bad", "3=fair, 5=good"])
    reading = read("2", "1", "3", "5.0", "good", tagging=Tagging(given))
    assert reading.classes == Classes(("bad", "fair", "good"), None)
    assert reading.classes.tags == given
    assert [reading.label_of[tag] for tag in ("1", "2", "3", "5.0", "good")] == [0, 0, 1, 2, 2]
    lab = Tagging(parse_tags(["0=negative,1=neutral,2=positive"]))
    assert read("0", "1", "2", tagging=lab).classes == SENTIMENTS


def test_a_model_reads_tags_as_its_own_data_had_them() -> None:
    known = classes_named(("bad", "good"), tags={"1": "bad", "2": "good"})
    reading = read("2", "GOOD", tagging=Tagging(known=known))
    assert (reading.classes, reading.classes.tags) == (known, known.tags)
    assert reading.label_of == {"2": 1, "GOOD": 1}
    assert read(tagging=Tagging(known=known)).classes == known, "no tags at all"
    given = {"0": "bad", "9": "good"}
    again = read("9", tagging=Tagging(given, known=classes_named(("bad", "good"))))
    assert (again.classes.tags, again.label_of) == (given, {"9": 1}), "a search that goes on"


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["0negative"], "--tags must be TAG=CLASS,TAG=CLASS,..., got '0negative'"),
        (["0=a,1="], "--tags must be TAG=CLASS,TAG=CLASS,..., got '1='"),
        (["0=a,0=b"], "--tags must give a tag one class, got 0 as a, and b"),
        (["0=a,1=a"], "--tags must name at least two classes, got a"),
    ],
)
def test_what_is_no_mapping_is_refused(words: list[str], fault: str) -> None:
    with pytest.raises(TagsError, match=f"^{fault}".replace(".", r"\.")):
        parse_tags(words)


def test_all_faults_of_tags_are_told_at_once() -> None:
    tagging = Tagging(parse_tags(["0=no,1=yes"]), fallback="yess")
    with pytest.raises(CorpusError) as raised:
        read("0", "1", "11", tagging=tagging)
    told = str(raised.value)
    assert (
        "every tag must be one that --tags names:\n    line 2: got '11'; did you mean '1'?" in told
    )
    assert "--fallback-class must be a class of the data:" in told
    assert "got 'yess'; did you mean 'yes'?" in told


def test_one_class_is_none() -> None:
    with pytest.raises(CorpusError, match=r"two classes must be labelled:\n    got 6 positive"):
        read("pos")
    with pytest.raises(CorpusError, match="got no labelled pair"):
        read()


@pytest.mark.parametrize(
    ("tags", "slip", "told"),
    [
        (("positive", "negative"), "positve", "got 'positve'; did you mean 'positive'"),
        (("joy", "anger"), "jo", "got 'jo'; did you mean 'joy'"),
        (("joy", "anger"), "none", "got 'none'; known are anger, joy"),
    ],
)
def test_a_slip_of_the_pen_is_no_class(tags: tuple[str, ...], slip: str, told: str) -> None:
    found = [Tagged(tag, "", True) for tag in tags] * 5
    faults = Faults()
    read_tags([*found, *[Tagged(slip, "line 9", True)] * 4], Tagging(), faults)
    with pytest.raises(CorpusError, match=f"line 9: {told}"):
        faults.raise_any("the data")
    faults = Faults()
    reading = read_tags([*found, *[Tagged(slip, "line 9", True)] * 5], Tagging(), faults)
    assert (len(reading.classes), bool(faults)) == (3, False)


def test_a_column_of_numbers_is_no_column_of_classes() -> None:
    found = [Tagged(str(n / 7), "", True) for n in range(100)]
    faults = Faults()
    read_tags(found, Tagging(), faults)
    with pytest.raises(CorpusError, match="tags must be classes, at most 20 of 100 labelled pair"):
        faults.raise_any("the data")


@pytest.mark.parametrize("name", ["Row", "a\tb", "x" * 61])
def test_a_class_must_be_fit_to_name_a_column(name: str) -> None:
    with pytest.raises(CorpusError, match=r"--tags TAG=CLASS calls it otherwise"):
        read(name, "other")


def test_a_test_set_has_no_class_of_its_own() -> None:
    with pytest.raises(CorpusError) as raised:
        read("joy", "anger", test=("joy", "fear"))
    assert "a test set must have no class that the training lacks; leave" in str(raised.value)
    assert "the test set: got 'fear'; known are anger, joy" in str(raised.value)


def test_a_model_refuses_other_classes_with_the_nearest() -> None:
    with pytest.raises(CorpusError, match="tag must be one of positive, neutral, negative"):
        read("positive", "joy", tagging=Tagging(known=SENTIMENTS))


def test_beside_the_tags_that_are_given_a_model_knows_its_classes_by_name() -> None:
    tagging = Tagging(parse_tags(["rage=anger"], least=1), known=Classes(("anger", "joy")))
    reading = read("rage", "Joy", "anger", tagging=tagging)
    assert [reading.label_of[tag] for tag in ("rage", "Joy", "anger")] == [0, 1, 0]
    with pytest.raises(CorpusError) as raised:
        read("rage", "yoy", tagging=tagging)
    told = "every tag must be one that --tags names, or a class:\n    line 1: got 'yoy'; did you"
    assert told in str(raised.value)


def test_where_tags_are_ignored_they_may_be_of_any_class() -> None:
    reading = read("joy", "7", tagging=Tagging(known=SENTIMENTS, ignored=True))
    assert reading == (SENTIMENTS, {}, ())
