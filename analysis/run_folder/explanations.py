"""What a model looked at: pictures and words that `search.explain` left in the run folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.run_folder.io import read_json, write_json
from analysis.run_folder.records import Count, read_record, to_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analysis.run_folder.folder import RunFolder


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What decided one sample.

    Attributes:
        row: Index of the sample.
        truth: Its class; None where it is to be predicted.
        decided: The class that was explained.
        probability: That of the explained class.
        overlay: File of the image with its heat map; None where no image was explained.
        words: Parts of the text with how much each spoke for the class, in [-1, 1].
    """

    row: Count
    truth: str | None = None
    decided: str
    probability: float
    overlay: str | None = None
    words: tuple[tuple[str, float], ...] = ()

    def picture(self, folder: RunFolder) -> Path | None:
        """Return the path of the heat map, always beside the index whatever `overlay` holds."""
        return folder.explanations / Path(self.overlay).name if self.overlay else None


@dataclass(frozen=True)
class _Index:
    """The content of `explanations/index.json`."""

    samples: tuple[Explanation, ...]


def read_explanations(folder: RunFolder) -> dict[int, Explanation]:
    """Read the explanations, by row; empty where none were made."""
    path = folder.explanations_index
    if not path.exists():
        return {}
    index = read_record(path, read_json(path, "no sample of this run was explained"), _Index)
    return {explanation.row: explanation for explanation in index.samples}


def write_explanations(folder: RunFolder, samples: Sequence[Explanation]) -> None:
    """Write the explanations, once their pictures are there."""
    write_json(folder.explanations_index, to_json(_Index(tuple(samples))))
