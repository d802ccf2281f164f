"""What a model looked at: pictures and words that `search.explain` left in the run folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.run_folder.io import read_json, write_json
from analysis.run_folder.records import EXPLANATIONS, checked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from analysis.run_folder.folder import RunFolder


@dataclass(frozen=True)
class Explanation:
    """What decided one sample.

    Attributes:
        row: Index of the sample.
        decided: The class that was explained.
        probability: What the model gave it.
        overlay: Picture of the image with its heat map; None where no image was explained.
        words: Parts of the text with how much each spoke for the class, in [-1, 1].
    """

    row: int
    decided: str
    probability: float
    overlay: Path | None
    words: tuple[tuple[str, float], ...]


def read_explanations(folder: RunFolder) -> dict[int, Explanation]:
    """Read what was explained.

    Args:
        folder: The run folder.

    Returns:
        Explanations by row; empty where none were made.
    """
    if not folder.explanations_index.exists():
        return {}
    path = folder.explanations_index
    record = checked(path, read_json(path, "no sample of this run was explained"), EXPLANATIONS)
    return {found["row"]: _explanation(folder.explanations, found) for found in record["samples"]}


def write_explanations(folder: RunFolder, samples: Sequence[Mapping[str, Any]]) -> None:
    """Write what was explained, once its pictures are there.

    Args:
        folder: The run folder.
        samples: JSON-ready, each with `row`, `decided`, `probability`, `overlay` (the name of a
            picture beside the index, or null) and `words` (pairs of word and weight).
    """
    write_json(folder.explanations_index, {"samples": list(samples)})


def _explanation(folder: Path, found: Mapping[str, Any]) -> Explanation:
    # Only the name: an index cannot point out of its folder.
    overlay = folder / Path(found["overlay"]).name if found.get("overlay") else None
    words = tuple((str(word), float(weight)) for word, weight in found.get("words", ()))
    return Explanation(found["row"], found["decided"], found["probability"], overlay, words)
