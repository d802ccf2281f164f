"""The samples that a model is surest about, rightly and wrongly: what it sees and misses."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps

from analysis.results import CLASSES
from analysis.surest import by_class

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from analysis.explanations import Explanation
    from analysis.resampling import Validated
    from analysis.run import Run

_SIDE = 240  # pixels of a thumbnail's longer side
_QUALITY = 72
_PER_GROUP = 4
_MOST_PIXELS = 50_000_000


@dataclass(frozen=True)
class Picture:
    """An image inside the page.

    Attributes:
        source: A data URI.
        width: In pixels.
        height: In pixels.
    """

    source: str
    width: int
    height: int


@dataclass(frozen=True)
class Card:
    """One sample.

    Attributes:
        row: Its index.
        guid: Its name.
        text: Its text.
        picture: Its image, small; None where it is no longer there.
        overlay: The same with what the model looked at; None where that was not explained.
        words: Parts of the text with how much each spoke for the decision, in [-1, 1]; may be
            empty.
        truth: Its class.
        decided: What the model decided.
        probabilities: By class.
    """

    row: int
    guid: str
    text: str
    picture: Picture | None
    overlay: Picture | None
    words: tuple[tuple[str, float], ...]
    truth: str
    decided: str
    probabilities: Mapping[str, float]


@dataclass(frozen=True)
class Group:
    """The samples of one class that a model is surest about.

    Attributes:
        truth: The class.
        right: Whether the decisions are right.
        cards: The samples, the surest first.
        count: How many there are in all.
    """

    truth: str
    right: bool
    cards: tuple[Card, ...]
    count: int


def gallery(run: Run, validated: Validated, explained: Mapping[int, Explanation]) -> list[Group]:
    """Choose the samples that a model is surest about, by class, wrong and right.

    Args:
        run: The run; its samples are read.
        validated: What the model said of samples that it did not train on.
        explained: What it looked at, by row; may be empty.

    Returns:
        For each class its mistakes, then its hits; a group may be empty.
    """
    groups = []
    for group in by_class(validated):
        # What was explained comes first: there is more to see.
        known = np.isin(validated.rows[group.places], list(explained))
        order = group.places[np.argsort(~known, kind="stable")][:_PER_GROUP]
        cards = tuple(_card(run, validated, place, explained) for place in order)
        groups.append(Group(CLASSES[group.label], group.right, cards, len(group.places)))
    return groups


def _card(
    run: Run, validated: Validated, place: np.int64, explained: Mapping[int, Explanation]
) -> Card:
    row = int(validated.rows[place])
    sample, explanation = run.samples.iloc[row], explained.get(row)
    return Card(
        row=row,
        guid=str(sample["guid"]),
        text=str(sample["text"]),
        picture=thumbnail(Path(sample["image"])),
        overlay=thumbnail(explanation.overlay) if explanation and explanation.overlay else None,
        words=explanation.words if explanation else (),
        truth=CLASSES[validated.labels[place]],
        decided=CLASSES[validated.decided[place]],
        probabilities=_named(validated.probabilities[place]),
    )


def _named(probabilities: NDArray[np.floating]) -> dict[str, float]:
    return {name: float(value) for name, value in zip(CLASSES, probabilities, strict=True)}


def thumbnail(path: Path) -> Picture | None:
    """Make a small picture that stands inside the page.

    Args:
        path: An image.

    Returns:
        The picture; None where the file is gone, is no image or is far too large.
    """
    try:
        with Image.open(path) as opened:
            if opened.width * opened.height > _MOST_PIXELS:
                return None
            opened.draft("RGB", (2 * _SIDE, 2 * _SIDE))  # a JPEG is decoded small
            image = ImageOps.exif_transpose(opened).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    image.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    file = BytesIO()
    image.save(file, "JPEG", quality=_QUALITY, optimize=True)
    source = f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
    return Picture(source, image.width, image.height)
