"""Why a search ends before its last trial: the user, the clock, or all trials failing alike."""

from __future__ import annotations

import math
import time
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from optuna.exceptions import StorageInternalError
from ray.tune.stopper import Stopper

from search import interrupts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

INTERRUPTED = "interrupted"
TIME_BUDGET = "time budget"


class SearchStopper(Stopper):  # type: ignore[misc]  # Ray has no types
    """Ends the search when its time is up, the user asks or it is no use to continue.

    Args:
        deadline: On the clock of `time.monotonic`; infinity for no limit.
        keep: Returns how many seconds before it to end, for what comes after; asked repeatedly.

    Attributes:
        reason: Why it ends, in words; empty while it runs.
        fault: What failed outside of the trials, such as a full disk; None if nothing did.
    """

    def __init__(self, deadline: float, keep: Callable[[], float] = lambda: 0.0) -> None:
        self.reason = ""
        self.fault: OSError | None = None
        self._deadline = deadline
        self._keep = keep

    @property
    def hopeless(self) -> bool:
        """Whether the stages after the trials are not worth their time now."""
        return self.reason not in {"", TIME_BUDGET}

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:  # noqa: ARG002  # Ray's
        """Return False: a single trial is ended by the scheduler."""
        return False

    def stop_all(self) -> bool:
        """Return whether the search is to end: once there is a reason."""
        if self.reason or math.isinf(self._deadline):
            return bool(self.reason)
        if time.monotonic() >= self._deadline - self._keep():
            self.reason = TIME_BUDGET
        return bool(self.reason)

    @contextmanager
    def guarding(self) -> Iterator[None]:
        """End the search when a file or the study cannot be written, without raising to Ray.

        Ray would take the error for that of the trial that has just ended, and continue.

        Yields:
            Once, for the body that writes files.
        """
        try:
            yield
        except StorageInternalError as error:  # Optuna's, around the database's own
            self.fault = self.fault or ConnectionError(f"the study: {error.__cause__}")
            self.reason = self.reason or "the study could not be written"
        except OSError as error:
            self.fault = self.fault or error
            self.reason = self.reason or "a file could not be written"

    def listening(self) -> AbstractContextManager[None]:
        """Make a context in which the first Ctrl-C or SIGTERM ends the search cleanly."""

        def interrupt() -> None:
            self.reason = INTERRUPTED

        return interrupts.ending_gently(interrupt)

    def __getstate__(self) -> dict[str, Any]:
        return {"reason": self.reason}  # Ray writes it to its snapshots, which nothing reads
