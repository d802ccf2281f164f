"""What a search knows of each of its trials while it runs: pure data, shared by all who listen."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainables.objective import Mode

EPOCH = "epoch"
"""The key of a report that counts its epochs, from 1."""

HAND_TUNED = "hand_tuned"
"""The study's user attribute, and the column, that flags the config tried first."""

Fate = Literal["finished", "stopped", "diverged", "failed", "interrupted"]


@dataclass
class TrialRecord:
    """One trial so far.

    Attributes:
        number: Its number in the study, from 0: its name in every table.
        params: Its hyperparameters, flat.
        hand_tuned: Whether it is the variant's hand-tuned config.
        scores: The objective by epoch (from 1), of the last attempt.
        reported: The last epoch that the study was told of, by any attempt.
        seconds: Wall-clock time since the trial first started.
        stopped: Whether ASHA has stopped it.
        error: Why it failed or diverged, in one line.
        fate: How it ended; None while it runs.
    """

    number: int
    params: Mapping[str, Any]
    hand_tuned: bool = False
    scores: dict[int, float] = field(default_factory=dict)
    reported: int = 0
    seconds: float = 0.0
    stopped: bool = False
    error: str = ""
    fate: Fate | None = None

    @property
    def epochs(self) -> int:
        """Epochs reported, of the last attempt."""
        return max(self.scores, default=0)

    def see(self, epoch: int, score: float) -> None:
        """Note a reported epoch; a retry that starts over voids what came after it.

        Args:
            epoch: From 1.
            score: The objective.
        """
        self.scores = {e: s for e, s in self.scores.items() if e < epoch} | {epoch: score}

    def best(self, mode: Mode) -> tuple[int, float] | None:
        """Find the best epoch, the first of equals.

        Args:
            mode: Whether more or less is better.

        Returns:
            The epoch and its score; None when no epoch had a finite one.
        """
        finite = [(epoch, s) for epoch, s in sorted(self.scores.items()) if math.isfinite(s)]
        if not finite:
            return None
        sign = 1 if mode == "max" else -1
        return max(finite, key=lambda pair: sign * pair[1])


Records = dict[str, TrialRecord]
"""The trials of a search by Ray's name of each, in the order they started."""


def ranked(records: Records, mode: Mode) -> list[TrialRecord]:
    """Order the trials with a score, the one to choose first.

    A trial that ran its course goes before one that ASHA stopped, and that before one that was
    cut off: a score reached on the way to a worse end says less than one of a full training.

    Args:
        records: The trials.
        mode: Whether more or less is better.

    Returns:
        The trials that neither failed nor diverged, and have a score.
    """
    order = {"finished": 0, "stopped": 1, "interrupted": 2}
    sign = 1 if mode == "max" else -1

    def key(record: TrialRecord) -> tuple[int, float, int]:
        best = record.best(mode)
        return order[str(record.fate)], -sign * (best[1] if best else math.nan), record.number

    kept = [r for r in records.values() if r.fate in order and r.best(mode) is not None]
    return sorted(kept, key=key)
