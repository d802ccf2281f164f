"""The columns of a list file by the names that a data set has for them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trainables.config import nearest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

COLUMNS = ("guid", "text", "image", "tag", "split", "fold")
"""All columns that a list may have a use for."""
OTHER_NAMES = "--columns OURS=THEIRS,... says what else they are called"


class ColumnsError(ValueError):
    """`--columns` cannot be read; the message has one line per fault."""


@dataclass(frozen=True)
class Columns:
    """What a data set calls its columns.

    Attributes:
        given: The name of a column in the files, by our own; a file without it may have the column
            under our name. No case, and no white space around a name, tells two apart.
    """

    given: Mapping[str, str] = field(default_factory=dict)

    def ours(self, header: Iterable[str]) -> list[str]:
        """Return our names for the columns of a file.

        Args:
            header: The columns as the file calls them.

        Returns:
            As many names, in lower case; "" for a column that has our name for another.
        """
        names = [name.strip().lower() for name in header]
        meant = {theirs.strip().lower(): ours for ours, theirs in self.given.items()}
        taken = {meant[name] for name in names if name in meant}
        return [meant.get(name, "" if name in taken else name) for name in names]


@dataclass(frozen=True)
class Wanted:
    """What is read of a list file.

    Attributes:
        columns: The columns that it must have, in any order and among others.
        optional: Those of them that may be missing.
        further: Columns that are read where there are any.
        named: What the file calls its columns; by default as we do.
    """

    columns: Sequence[str]
    optional: Collection[str] = ()
    further: Collection[str] = ()
    named: Columns = field(default_factory=Columns)

    @property
    def described(self) -> str:
        """The columns in words, and the remedy where one is not found."""
        optional = f" ({', '.join(self.optional)} may be missing)" if self.optional else ""
        return f"{','.join(self.columns)}{optional}; {OTHER_NAMES}"

    def missing(self, there: Collection[str]) -> list[str]:
        """Return the columns that a file must have and lacks, by our names."""
        return [name for name in self.columns if name not in {*there, *self.optional}]


def column_faults(words: Sequence[str]) -> Iterator[str]:
    """Yield one sentence per fault of `--columns`."""
    try:
        parse_columns(words)
    except ColumnsError as error:
        yield from str(error).splitlines()


def parse_columns(words: Sequence[str]) -> Columns:
    """Read `--columns`.

    Args:
        words: Each as `OURS=THEIRS,OURS=THEIRS`, such as `guid=id,tag=label`.

    Returns:
        The columns.

    Raises:
        ColumnsError: If one is no such word, names no column that is read, or one twice.
    """
    given: dict[str, str] = {}
    faults = []
    for pair in (pair for word in words for pair in word.split(",")):
        ours, _, theirs = (part.strip() for part in pair.partition("="))
        if not (ours and theirs):
            faults.append(f"--columns must be OURS=THEIRS,OURS=THEIRS,..., got {pair!r}")
        elif ours not in COLUMNS:
            rule = f"--columns must name one of {', '.join(COLUMNS)}"
            faults.append(f"{rule}, got {ours!r}; {nearest(ours, COLUMNS)}")
        elif ours in given or theirs.lower() in {name.lower() for name in given.values()}:
            faults.append(f"--columns must name a column once, got {pair!r} again")
        else:
            given[ours] = theirs
    if faults:
        raise ColumnsError("\n".join(faults))
    return Columns(given)
