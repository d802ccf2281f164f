"""Splits that come with the data: a column, lists of their own, or folds by name.

What is given is used as it is: nothing is moved, not even what leaks. How much does is counted by
`trainables.data.splits.leak_notes`.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from trainables.config import nearest
from trainables.data.faults import Faults
from trainables.data.listing import Entry, Lists, list_more, list_table, refuse_outside
from trainables.data.rows import read_rows
from trainables.data.rows.columns import Columns, Wanted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from trainables.data.encodings import Decoder

TRAIN, VAL, TEST = "train", "val", "test"
FOLD_COLUMNS = ("guid", "fold")


@dataclass(frozen=True, slots=True)
class GivenSplits:
    """The files that part a data set.

    Attributes:
        val: A list of the pairs to validate on; None if there is none. Pairs of the data set by
            `guid`, or further ones in the data set's own format.
        test: Likewise of those that are held out.
        folds: A list `guid,fold` of all labelled pairs that are not held out; None if none.
    """

    val: Path | None = None
    test: Path | None = None
    folds: Path | None = None

    @property
    def files(self) -> dict[str, Path]:
        """The files by the flag that names them."""
        named = {"--val": self.val, "--test": self.test, "--folds": self.folds}
        return {flag: path for flag, path in named.items() if path is not None}

    def part(
        self, data: Path, entries: Sequence[Entry], lists: Lists, *, outside: bool = False
    ) -> list[Entry]:
        """Give the pairs of a data set to their parts.

        Args:
            data: The data set: a folder, or a table.
            entries: Its pairs, which a column may have given to parts already.
            lists: How lists are read.
            outside: Whether files may lie outside the folder of the table that names them.

        Returns:
            The pairs, and after them those that only a list of its own names.
        """
        found, faults = {entry.guid: entry for entry in entries}, lists.faults
        placed: dict[str, str] = {}
        for split, path in ((VAL, self.val), (TEST, self.test)):
            if path is None:
                continue
            if data.is_dir():
                listed = list_more(path, data, lists)
            else:
                listed = list_table(path, lists)
                if not outside:  # who names a table trusts its folder as that of the data
                    refuse_outside(path, [e for e in listed if e.guid not in found], faults)
            for entry in listed:
                where = f"{path.name}: got {entry.guid!r}"
                if placed.setdefault(entry.guid, split) != split:
                    faults.add("a pair must be in one part only", f"{where}, as in {VAL}")
                found[entry.guid] = _placed(found.get(entry.guid), entry, split, where, faults)
        if self.folds is not None:
            found = self._by_fold(found, lists)
        return list(found.values())

    def _by_fold(self, found: Mapping[str, Entry], lists: Lists) -> dict[str, Entry]:
        assert self.folds is not None
        path, faults = self.folds, lists.faults
        fold_of = dict(_folds(path, faults, lists.decoder, lists.named))
        for guid in fold_of.keys() - found.keys():
            rule = "every guid of a fold must be in the data"
            faults.add(rule, f"{path.name}: got {guid!r}; {nearest(guid, found)}")
        parted = {}
        for guid, entry in found.items():
            if entry.split in {TRAIN, VAL}:
                rule = "pairs must be parted by folds or by train and val, not by both"
                faults.add(rule, f"{guid} is in {entry.split}")
            learnt = entry.tag and entry.split != TEST
            if learnt and guid not in fold_of and not faults:
                rule = f"every labelled pair must be in a fold of {path.name}"
                faults.add(rule, f"got none for {guid!r}")
            parted[guid] = replace(entry, split=fold_of.get(guid, "")) if learnt else entry
        return parted


def _placed(known: Entry | None, listed: Entry, split: str, where: str, faults: Faults) -> Entry:
    """Give a pair to a part; further pairs are taken up as they are listed."""
    entry = known or listed
    tag = entry.tag or listed.tag
    if listed.tag and listed.tag.casefold() != tag.casefold():
        faults.add("a pair must have one tag", f"{where} as {listed.tag}, and {tag}")
    if not tag and split == VAL:
        faults.add("every pair to validate on must have a tag", where)
    return replace(entry, tag=tag, split=split)


def _folds(
    path: Path, faults: Faults, decoder: Decoder, named: Columns
) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for row in read_rows(path, Wanted(FOLD_COLUMNS, named=named), faults, decoder):
        guid, fold = row.values["guid"].strip(), row.values["fold"].strip()
        if guid in seen:
            faults.add("guid must be unique", f"{row.place}: got {guid!r} twice")
        if not fold:
            faults.add("fold must be a name or a number", f"{row.place}: got none")
        seen.add(guid)
        yield guid, fold


def count_folds(path: Path, decoder: Decoder, named: Columns | None = None) -> int:
    """Count the folds of a list `guid,fold`, at least two.

    Args:
        path: The list.
        decoder: Decodes it.
        named: What it calls its columns; by default as we do.

    Returns:
        Their number.

    Raises:
        CorpusError: If it is no such list, or has fewer than two folds.
    """
    faults = Faults()
    names = {fold for _, fold in _folds(path, faults, decoder, named or Columns())}
    if len(names) < 2 and not faults:
        faults.add("a list of folds must have at least two", f"got {len(names)}")
    faults.raise_any(path)
    return len(names)


def fold_numbers(entries: Sequence[Entry]) -> tuple[int, ...] | None:
    """Number the folds that validate labelled pairs.

    Args:
        entries: The pairs to learn from, each given to a part or none.

    Returns:
        For each the fold that validates it, from 0, or -1 where none does; None where no pair is
        given to one. Folds are numbered in the order of their names, numbers by value.
    """
    names = Counter(entry.split for entry in entries if entry.split not in {"", TRAIN})
    order = sorted(names, key=lambda name: [_key(each) for each in re.split(r"(\d+)", name)])
    number = {name: place for place, name in enumerate(order)}
    return tuple(number.get(entry.split, -1) for entry in entries) if names else None


def _key(part: str) -> tuple[int, str]:
    return (int(part), "") if part.isdigit() else (-1, part)
