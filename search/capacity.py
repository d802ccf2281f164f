"""How much of a cluster there is while a search runs: machines come, go and can be asked for."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from ray.autoscaler.sdk import request_resources

from search.cluster import alive, fitting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from search.cluster import TrialResources

_SECONDS_BETWEEN_LOOKS = 2.0


class Slots:
    """How many trials can run at a time, as machines come and go.

    Args:
        resources: What one trial gets, and how many ran at a time at first.
        most: The user's own limit; None for as many as fit.
    """

    def __init__(self, resources: TrialResources, most: int | None) -> None:
        self._share, self._most = resources, most
        self._count, self._looked = resources.slots, time.monotonic()

    @property
    def resources(self) -> TrialResources:
        """What one trial gets, and how many run at a time now."""
        return replace(self._share, slots=self())

    def share(self, resources: TrialResources) -> None:
        """Give trials another share from now on.

        Args:
            resources: What one trial gets, and how many run at a time.
        """
        self._share, self._count = resources, resources.slots

    def __call__(self) -> int:
        """Count the slots; the cluster is looked at every few seconds.

        Returns:
            At least 1: without any machine left, one trial waits for the next.
        """
        if time.monotonic() - self._looked > _SECONDS_BETWEEN_LOOKS:
            count = sum(fitting(node, self._share.cpus, self._share.gpus) for node in alive())
            self._count = max(1, min(count, self._most or count))
            self._looked = time.monotonic()
        return self._count


@contextmanager
def asking_for(resources: TrialResources, trials: int) -> Iterator[None]:
    """Ask a cluster that grows on demand for room; any other takes no notice.

    Args:
        resources: What one trial gets.
        trials: How many could run at a time.

    Yields:
        Once, while the trials run.
    """
    names = {"cpu": "CPU", "gpu": "GPU"}
    bundle = {names[name]: count for name, count in resources.request.items()}
    request_resources(bundles=[bundle] * trials)
    try:
        yield
    finally:
        request_resources(bundles=[])
