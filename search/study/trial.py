"""What a search knows of each of its trials while it runs: plain data, shared by all callbacks."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from trainables.config import TrainConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainables.evaluation.metrics import Mode

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
        reported: The last epoch reported to the study, by any attempt.
        seconds: Wall-clock time since the trial first started.
        stopped: Whether ASHA has stopped it.
        error: Why it failed or diverged, in one line.
        note: Anything else to know of it, in one line.
        fate: How it ended; None while it runs.
        retries: How often it was restarted after a crash, by this or an earlier attempt.
        peak_memory_mb: Peak memory on its GPU, or of its process where there is none.
        retryable: Whether it failed for a cause outside of it, such as a full disk, so that it is
            restarted when the search is resumed.
    """

    number: int
    params: Mapping[str, Any]
    hand_tuned: bool = False
    scores: dict[int, float] = field(default_factory=dict)
    reported: int = 0
    seconds: float = 0.0
    stopped: bool = False
    error: str = ""
    note: str = ""
    fate: Fate | None = None
    retries: int = 0
    peak_memory_mb: float = 0.0
    retryable: bool = False

    @property
    def epochs(self) -> int:
        """Epochs reported, of the last attempt."""
        return max(self.scores, default=0)

    def see(self, epoch: int, score: float) -> None:
        """Record the objective at an epoch, from 1, and drop an earlier try's later epochs."""
        self.scores = {e: s for e, s in self.scores.items() if e < epoch} | {epoch: score}

    def note_costs(self, report: Mapping[str, Any]) -> None:
        """Record peak memory and note of a trial's report."""
        self.peak_memory_mb = max(self.peak_memory_mb, float(report.get("peak_memory_mb", 0.0)))
        self.note = str(report.get("note", "")) or self.note

    def best(self, mode: Mode) -> tuple[int, float] | None:
        """Return the best epoch, the first of ties, and its score; None without a finite score."""
        finite = [(epoch, s) for epoch, s in sorted(self.scores.items()) if math.isfinite(s)]
        if not finite:
            return None
        sign = 1 if mode == "max" else -1
        return max(finite, key=lambda pair: sign * pair[1])

    def user_attrs(self, mode: Mode) -> dict[str, Any]:
        """Return what the study keeps of it besides its parameters and reports, ready for JSON."""
        attrs: dict[str, Any] = {
            "fate": self.fate,
            "error": self.error,
            "note": self.note,
            HAND_TUNED: self.hand_tuned,
            "epochs": self.epochs,
            "seconds": round(self.seconds, 3),
            "retries": self.retries,
            "peak_memory_mb": round(self.peak_memory_mb, 1),
        }
        best = self.best(mode)
        return attrs if best is None else attrs | {"best_epoch": best[0], "objective": best[1]}


OUTCOMES: frozenset[str] = frozenset({"finished", "stopped", "diverged", "failed"})
"""The fates of trials that count as done: the others go on when the search does."""


def outcomes(records: Records) -> int:
    """Count the trials that are done."""
    return sum(record.fate in OUTCOMES for record in records.values())


def neutral_threshold(params: Mapping[str, Any]) -> float:
    """Return the threshold that a trial decided by: the one drawn, else the config's default."""
    return float(params.get("neutral_threshold", TrainConfig.neutral_threshold))


Records = dict[str, TrialRecord]
"""The trials of a search by Ray's name of each, in the order they started."""


def ranked(records: Records, mode: Mode) -> list[TrialRecord]:
    """Order the trials with a score that neither failed nor diverged, the one to choose first.

    A finished trial goes before one that ASHA stopped, and that before one that was interrupted: a
    score that was reached before a worse end says less than one of a full training.

    Returns:
        The trials.
    """
    order = {"finished": 0, "stopped": 1, "interrupted": 2}
    sign = 1 if mode == "max" else -1

    kept = [
        (order[str(record.fate)], -sign * best[1], record.number, record)
        for record in records.values()
        if record.fate in order and (best := record.best(mode)) is not None
    ]
    return [record for *_, record in sorted(kept)]
