"""One hostile input: how it is made, which command reads it, and what that command must say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

OUT, CACHE, INPUT = "out", "cache", "input"


@dataclass(frozen=True)
class Case:
    """One hostile input.

    Attributes:
        name: What is bad about it.
        told: What the command must say of it.
        make: Writes it below an empty folder, and gives the words that name it on the command
            line.
        program: The module that is run.
        words: What else it is told; `{out}` and `{cache}` stand for folders where it may write.
        writes_there: A folder of the input where it may write, too, as a report does in its run.
    """

    name: str
    told: str
    make: Callable[[Path], Sequence[str]]
    program: str = "search.run"
    words: tuple[str, ...] = (
        *("--model", "early_fusion", "--trials", "1", "--out", "{out}", "--cache", "{cache}"),
        *("--backbone", "text=tiny", "--backbone", "image=tiny"),
    )

    writes_there: str = ""

    def write(self, folder: Path) -> list[str]:
        """Write the input.

        Args:
            folder: Where all of the case goes; empty.

        Returns:
            The words after `python -m PROGRAM`.
        """
        places = {"out": folder / OUT, "cache": folder / CACHE}
        (folder / INPUT).mkdir(parents=True)
        made = self.make(folder / INPUT)
        return [word.format(**places) for word in self.words] + list(made)

    def may_write(self, folder: Path, path: str) -> bool:
        """Tell whether a path is where the command was told to write.

        Args:
            folder: As given to `write`.
            path: An absolute path.

        Returns:
            Whether it is.
        """
        places = [folder / OUT, folder / CACHE]
        places += [folder / INPUT / self.writes_there] * bool(self.writes_there)
        return path.startswith(tuple(map(str, places)))
