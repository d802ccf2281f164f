"""Examples for the report: the most confident decisions, right and wrong.

Images of the data set are not opened here, where untrusted files would be decoded: `search` has
written thumbnails to the run folder, whose bytes are embedded unchanged.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analysis.run_folder.digests import is_noted
from analysis.run_folder.io import DamageError, read_bytes
from analysis.tables.samples import by_class

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from analysis.run_folder.explanations import Explanation
    from analysis.run_folder.run import Run
    from trainables.evaluation.resampling import Validated

_PER_GROUP = 4
_JPEG = b"\xff\xd8"
_MOST_BYTES = 1_000_000


@dataclass(frozen=True)
class Card:
    """One sample.

    Attributes:
        row: Its index.
        picture: A thumbnail of its image, as a data URI; None if there is none.
        overlay: The same with the Grad-CAM heat map; None if it was not explained.
        words: Words of the text with their contribution to the decision, in [-1, 1]; may be empty.
    """

    row: int
    guid: str
    text: str
    picture: str | None
    overlay: str | None
    words: tuple[tuple[str, float], ...]
    truth: str
    decided: str
    probabilities: Mapping[str, float]


@dataclass(frozen=True)
class CardGroup:
    """The most confident decisions for one class, all right or all wrong.

    Attributes:
        cards: The samples, most confident first.
        count: Number of such samples, shown or not.
    """

    truth: str
    right: bool
    cards: tuple[Card, ...]
    count: int


def gallery(
    run: Run, validated: Validated, explained: Mapping[int, Explanation]
) -> list[CardGroup]:
    """Select the most confident decisions: for each class the wrong ones, then the right ones.

    Args:
        run: Its samples are read.
        validated: Held-out predictions.
        explained: Explanations by row; may be empty.

    Returns:
        The groups; one may be empty.
    """
    groups = []
    for group in by_class(validated):
        shown = _shown(validated, group.places, explained)
        cards = tuple(_card(run, validated, place, explained) for place in shown)
        truth = validated.classes.names[group.label]
        groups.append(CardGroup(truth, group.right, cards, len(group.places)))
    return groups


def rows_shown(validated: Validated, explained: Iterable[int]) -> list[int]:
    """Return the rows of the samples whose images a report shows, ascending."""
    explained = set(explained)
    groups = by_class(validated)
    places = [place for group in groups for place in _shown(validated, group.places, explained)]
    return sorted({int(validated.rows[place]) for place in places})


def _shown(
    validated: Validated, places: NDArray[np.int64], explained: Iterable[int]
) -> NDArray[np.int64]:
    # Explained samples first.
    known = np.isin(validated.rows[places], list(explained))
    return places[np.argsort(~known, kind="stable")][:_PER_GROUP]


def _card(
    run: Run, validated: Validated, place: np.int64, explained: Mapping[int, Explanation]
) -> Card:
    row = int(validated.rows[place])
    sample, explanation = run.samples.iloc[row], explained.get(row)
    overlay = explanation.picture(run.folder) if explanation else None
    names, values = validated.classes.names, validated.probabilities[place]
    return Card(
        row=row,
        guid=str(sample["guid"]),
        text=str(sample["text"]),
        picture=_inlined(run.folder.thumbnail(row)),
        overlay=_inlined(overlay) if overlay else None,
        words=explanation.words if explanation else (),
        truth=names[validated.labels[place]],
        decided=names[validated.decided[place]],
        probabilities=dict(zip(names, map(float, values), strict=True)),
    )


def _inlined(path: Path) -> str | None:
    """Encode a thumbnail of the run folder as a data URI, undecoded; None if not a JPEG."""
    if path.is_symlink() or not path.exists():
        return None
    try:
        raw = read_bytes(path, "", _MOST_BYTES)
    except DamageError:
        if is_noted(path):
            raise
        return None
    if not raw.startswith(_JPEG):
        return None
    return f"data:image/jpeg;base64,{base64.b64encode(raw).decode()}"
