"""From the tags of lists to classes: what they are called, in which order, and how they are spelt.

Classes are the data's. Of the lab's three the usual spellings are known; any other tags are
classes as they stand, and case does not tell two apart.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from trainables.config import nearest
from trainables.evaluation.classes import SENTIMENTS, Classes, classes_named

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from trainables.data.faults import Faults

NO_TAG = ("", "null")
"""What stands for no tag, in any case."""

_POSITIVE, _NEUTRAL, _NEGATIVE = SENTIMENTS.names
_WORDS = dict.fromkeys(("positive", "pos"), _POSITIVE)
_WORDS |= dict.fromkeys(("neutral", "neu"), _NEUTRAL)
_WORDS |= dict.fromkeys(("negative", "neg"), _NEGATIVE)
# Only beside -1: without it, 0 and 1 may be anything.
_SIGNS = {"1": _POSITIVE, "0": _NEUTRAL, "-1": _NEGATIVE}

_MOST_CLASSES, _FEW_CLASSES = 100, 10
_PAIRS_EACH = 5  # on average, of more than a few classes
_RARE = 5  # pairs; a tag of fewer is a slip of the pen, or too rare to learn and to validate
_MOST_SHOWN = 8
_MOST_BYTES = 60
_LIKE_COLUMNS = frozenset(
    {"chosen", "combination", "decided", "epoch", "fold", "guid", "repeat", "row", "tag", "trial"}
)
"""Columns beside those of the classes in the tables of a run."""


class TagsError(ValueError):
    """`--tags` cannot be read; the message has one line per fault."""


class Tagged(NamedTuple):
    """A tag in a list.

    Attributes:
        tag: As it is spelt there, without white space around it; not one of `NO_TAG`.
        place: Where, for messages.
        learnt: Whether its pair is learnt from, or else held out.
    """

    tag: str
    place: str
    learnt: bool


@dataclass(frozen=True)
class Tagging:
    """What is known of the classes before a list is read.

    Attributes:
        given: The class of each tag, by tag; empty lets the tags speak for themselves.
        fallback: The fallback class; None takes `neutral`, where it is a class.
        known: The classes of a search or model, which tags must be of; None takes those found.
        ignored: Whether tags only show which pairs have one, and may be of any classes.
    """

    given: Mapping[str, str] = field(default_factory=dict)
    fallback: str | None = None
    known: Classes | None = None
    ignored: bool = False

    @property
    def tags(self) -> Mapping[str, str]:
        """The class of each tag, by tag, where that is known."""
        return self.given or (self.known.tags if self.known else {})


def parse_tags(words: Iterable[str], least: int = 2) -> dict[str, str]:
    """Read `--tags`.

    Args:
        words: Each as `TAG=CLASS,TAG=CLASS`.
        least: How many classes they must name, if any; 1 where the classes are known.

    Returns:
        The class of each tag, in their order.

    Raises:
        TagsError: If one is no such word, or a tag has two classes.
    """
    given: dict[str, str] = {}
    faults = []
    for pair in (pair for word in words for pair in word.split(",")):
        tag, _, name = (part.strip() for part in pair.partition("="))
        if not (tag and name):
            faults.append(f"--tags must be TAG=CLASS,TAG=CLASS,..., got {pair!r}")
        elif given.setdefault(tag, name) != name:
            faults.append(
                f"--tags must give a tag one class, got {tag} as {given[tag]}, and {name}"
            )
    if given and len({*given.values()}) < least:
        faults.append(f"--tags must name at least two classes, got {next(iter(given.values()))}")
    if faults:
        raise TagsError("\n".join(faults))
    return given


class Reading(NamedTuple):
    """How the tags of a data set are read.

    Attributes:
        classes: The classes.
        label_of: The index of the class by tag as spelt; of valid tags alone.
        notes: A sentence where tags are spelt otherwise than their class.
    """

    classes: Classes
    label_of: Mapping[str, int]
    notes: tuple[str, ...]


def read_tags(found: Sequence[Tagged], tagging: Tagging, faults: Faults) -> Reading:
    """Find the classes of a data set, and the class of each tag.

    Args:
        found: All tags, in order.
        tagging: What is known before.
        faults: Collects faults.

    Returns:
        How they are read.
    """
    if tagging.ignored:
        return Reading(tagging.known or SENTIMENTS, {}, ())
    counts = Counter(one.tag for one in found)
    spelt = _given(found, tagging, faults) if tagging.tags else _spellings(counts)
    if tagging.known is None:
        if not tagging.tags:
            _refuse_rare(found, spelt, faults)
        classes = _classes(found, spelt, tagging, faults)
        rule = "a test set must have no class that the training lacks; leave its pairs out"
    else:
        classes = replace(tagging.known, tags=tagging.tags)
        by_fold = {name.casefold(): name for name in classes.names}
        spelt = {tag: by_fold.get(name.casefold(), name) for tag, name in spelt.items()}
        rule = f"tag must be one of {', '.join(classes.names)}"
    index = {name: place for place, name in enumerate(classes.names)}
    for one in found:
        if (name := spelt.get(one.tag)) is not None and name not in index:
            faults.add(rule, f"{one.place}: got {one.tag!r}; {nearest(one.tag, classes.names)}")
    label_of = {tag: index[name] for tag, name in spelt.items() if name in index}
    return Reading(classes, label_of, tuple(_notes(spelt)))


def _notes(spelt: Mapping[str, str]) -> Iterator[str]:
    other = sorted((tag, name) for tag, name in spelt.items() if tag != name)
    if other:
        pairs = ", ".join(f"{tag} as {name}" for tag, name in other[:_MOST_SHOWN])
        yield f"tags are read as classes: {pairs}{', ...' * (len(other) > _MOST_SHOWN)}"


def _given(found: Iterable[Tagged], tagging: Tagging, faults: Faults) -> dict[str, str]:
    """Look tags up in `--tags`, where a class stands for itself, too."""
    given, known = tagging.tags, tagging.known.names if tagging.known else ()
    by_fold = {name.casefold(): name for name in (*known, *given.values())}
    by_fold |= {_key(tag): name for tag, name in given.items()}
    spelt = {}
    for one in found:
        if (name := by_fold.get(_key(one.tag))) is not None:
            spelt[one.tag] = name
        else:
            rule = "every tag must be one that --tags names" + ", or a class" * bool(known)
            faults.add(rule, f"{one.place}: got {one.tag!r}; {nearest(one.tag, {*given, *known})}")
    return spelt


def _spellings(counts: Mapping[str, int]) -> dict[str, str]:
    """Name the class of each tag, by tag: the lab's, if they are all spellings of those."""
    keys = {_key(tag) for tag in counts}
    known = _WORDS | _SIGNS if "-1" in keys else _WORDS
    if keys <= known.keys():
        return {tag: known[_key(tag)] for tag in counts}
    names: dict[str, str] = {}
    for tag in sorted(counts, key=lambda tag: -counts[tag]):  # the commonest spelling names it
        names.setdefault(_key(tag), _key(tag) if _is_number(tag) else tag)
    return {tag: names[_key(tag)] for tag in counts}


def _key(tag: str) -> str:
    """Return what spellings of one class have in common: no case, and no 1.0 beside 1."""
    if _is_number(tag) and float(tag).is_integer():
        return str(int(float(tag)))
    return tag.casefold()


def _is_number(tag: str) -> bool:
    try:
        return abs(float(tag)) < 1e15  # beyond, not every integer is a float
    except ValueError:
        return False


def _order(names: Iterable[str], given: Mapping[str, str]) -> list[str]:
    """Order classes: as the lab's, as `--tags` gives them, as numbers, or by name."""
    there = set(names)
    if there <= {*SENTIMENTS.names}:
        return [name for name in SENTIMENTS.names if name in there]
    if given:
        return [name for name in dict.fromkeys(given.values()) if name in there]
    if all(map(_is_number, there)):
        return sorted(there, key=float)
    return sorted(there, key=lambda name: (name.casefold(), name))


def _classes(
    found: Sequence[Tagged], spelt: Mapping[str, str], tagging: Tagging, faults: Faults
) -> Classes:
    """Take the classes that are learnt from, and refuse what are none."""
    learnt = [spelt[one.tag] for one in found if one.learnt and one.tag in spelt]
    counts = Counter(learnt)
    names = _order(counts, tagging.given)
    if len(names) < 2 and not faults:  # else there may be more
        got = " and ".join(f"{count:,} {name}" for name, count in counts.items())
        faults.add("at least two classes must be labelled", f"got {got or 'no labelled pair'}")
    most = max(_FEW_CLASSES, min(_MOST_CLASSES, len(learnt) // _PAIRS_EACH))
    if len(names) > most:
        some = ", ".join(repr(name[:_MOST_BYTES]) for name in names[:3])
        rule = f"tags must be classes, at most {most} of {len(learnt):,} labelled pairs"
        faults.add(rule, f"got {len(names):,} different ones, such as {some}")
    else:
        for name in names:
            _refuse_name(name, faults)
    fallback = tagging.fallback
    if fallback is not None:
        by_fold = {name.casefold(): name for name in names}
        fallback = by_fold.get(fallback.casefold())
        if fallback is None and names:
            hint = nearest(str(tagging.fallback), names)
            faults.add(
                "--fallback-class must be a class of the data",
                f"got {tagging.fallback!r}; {hint}",
            )
    return classes_named(names, fallback, tagging.given)


def _refuse_name(name: str, faults: Faults) -> None:
    """Report a class that could not be the column of a table."""
    remedy = "--tags TAG=CLASS calls it otherwise"
    if name.casefold() in _LIKE_COLUMNS:
        rule = f"a class must not be called as a column of the tables is; {remedy}"
        faults.add(rule, f"got {name!r}")
    if not name.isprintable() or len(name.encode()) > _MOST_BYTES:
        rule = f"a class must have a printable name of at most {_MOST_BYTES} bytes; {remedy}"
        faults.add(rule, f"got {name!r}")


def _refuse_rare(found: Sequence[Tagged], spelt: Mapping[str, str], faults: Faults) -> None:
    """Report tags of a few pairs beside classes of more, or beside the lab's."""
    counts = Counter(spelt[one.tag] for one in found if one.learnt)
    is_lab = {name: name.casefold() in SENTIMENTS.names for name in counts}
    rare = {name for name, count in counts.items() if count < _RARE and not is_lab[name]}
    others = [name for name in counts if name not in rare]
    if len(others) < 2:  # too few pairs of all, which shows when they are split
        return
    if any(is_lab.values()):
        others = [*SENTIMENTS.names, *(name for name in others if not is_lab[name])]
    rule = (
        f"tag must be one of {', '.join(others)}, or a class of {_RARE} pairs and more;"
        " --tags TAG=CLASS,... says what it is"
    )
    for one in found:
        if one.learnt and spelt[one.tag] in rare:
            faults.add(rule, f"{one.place}: got {one.tag!r}; {nearest(one.tag.lower(), others)}")
