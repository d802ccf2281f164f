"""What can go wrong in a search, and how it is told in one line."""

from __future__ import annotations

import errno

from trainables.reach import OutOfReachError


class SettingsError(ValueError):
    """Settings do not make a search; the message lists every fault."""


class ClusterError(RuntimeError):
    """The cluster cannot be had, or the input is found wrong or impossible there."""


class WorkError(RuntimeError):
    """Work on the cluster failed for a reason that is not the input's."""


def one_line(error: BaseException | None) -> str:
    """Say why a trial failed.

    Args:
        error: What Ray kept of it.

    Returns:
        The type and the message of the cause, in one line.
    """
    cause = cause_of(error)
    if cause is None:
        return "unknown: Ray kept no error"
    words = " ".join(str(cause).split()) or "no message"
    return f"{type(cause).__name__}: {words}"[:500]


def cause_of(error: BaseException | None) -> BaseException | None:
    """Give what a worker raised, where Ray wraps it.

    Args:
        error: What Ray raised or kept.

    Returns:
        The error of the worker; `error` itself where nothing is wrapped.
    """
    return getattr(error, "cause", None) or error


def is_passing(error: BaseException | None) -> bool:
    """Say whether an error comes from what work stands on, and may be gone when it is begun again.

    Args:
        error: The error.

    Returns:
        Whether the disk was full, or a file out of reach that was there.
    """
    return is_disk_full(error) or isinstance(error, OutOfReachError)


def is_disk_full(error: BaseException | None) -> bool:
    """Say whether an error comes from a full disk.

    Args:
        error: The error.

    Returns:
        Whether it is the system's error for no space or no quota left.
    """
    return isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}
