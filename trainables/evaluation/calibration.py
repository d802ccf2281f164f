"""Calibration of probabilities: reliability, and temperature scaling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LOG_BOUNDS = (np.log(0.05), np.log(20.0))
SMALLEST = 1e-12
"""Probabilities are clipped to this before their logarithm is taken."""


def with_temperature(
    probabilities: NDArray[np.floating], temperature: float
) -> NDArray[np.float64]:
    """Apply temperature scaling, which keeps the order of the classes.

    Args:
        probabilities: Class probabilities, shape (N, C).
        temperature: Divides the logits, > 0: above 1 flattens, 1 changes nothing.

    Returns:
        Class probabilities, shape (N, C).
    """
    logits = np.log(np.maximum(probabilities.astype(np.float64), SMALLEST)) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def log_losses(
    labels: NDArray[np.int64], probabilities: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Compute the cross-entropy of each sample in nats, (N,), from probabilities (N, C)."""
    true = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return -np.log(np.maximum(true, SMALLEST))


def fit_temperature(labels: NDArray[np.int64], probabilities: NDArray[np.floating]) -> float:
    """Find the temperature with the lowest cross-entropy.

    Args:
        labels: True classes, shape (N,), N >= 1.
        probabilities: Class probabilities of held-out samples, shape (N, C).

    Returns:
        The temperature, in [0.05, 20].

    Source:
        Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks", ICML 2017,
        section 4.2. The loss is convex in 1/T, so the minimum is global.
    """
    from scipy.optimize import minimize_scalar  # noqa: PLC0415  # slow to import

    def loss(log_temperature: float) -> float:
        scaled = with_temperature(probabilities, float(np.exp(log_temperature)))
        return float(log_losses(labels, scaled).mean())

    found = minimize_scalar(loss, bounds=_LOG_BOUNDS, method="bounded", options={"xatol": 1e-4})
    return float(np.exp(found.x))


@dataclass(frozen=True)
class Reliability:
    """Accuracy by confidence, in bins.

    Attributes:
        confidence: Mean largest probability in each of M non-empty bins, shape (M,).
        accuracy: Fraction of correct decisions in it, shape (M,).
        counts: Number of samples in it, shape (M,).
    """

    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    counts: NDArray[np.int64]

    @property
    def expected_error(self) -> float:
        """The expected calibration error, in [0, 1]: the gaps, weighted by the number of samples.

        Source:
            Guo et al. 2017, eq. 3.
        """
        gaps = np.abs(self.confidence - self.accuracy)
        return float(gaps @ self.counts / self.counts.sum())


def reliability(
    labels: NDArray[np.int64], probabilities: NDArray[np.floating], bins: int = 15
) -> Reliability:
    """Compare confidence and accuracy in bins of equal width.

    Args:
        labels: True classes, shape (N,), N >= 1.
        probabilities: Class probabilities, shape (N, C).
        bins: Number of bins, >= 1.

    Returns:
        The non-empty bins, by increasing confidence.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    where = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    counts = np.bincount(where, minlength=bins)
    there = counts > 0
    return Reliability(
        np.bincount(where, confidence, bins)[there] / counts[there],
        np.bincount(where, right, bins)[there] / counts[there],
        counts[there],
    )
