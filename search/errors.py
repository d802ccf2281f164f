"""The errors of a search, and their one-line messages."""

from __future__ import annotations

import errno

from trainables.reach import OutOfReachError


class SettingsError(ValueError):
    """Settings do not make a search; the message lists every fault."""


class ClusterError(RuntimeError):
    """The cluster cannot be used, or the input proves wrong or impossible there."""


class WorkError(RuntimeError):
    """Work on the cluster failed for another reason than its input."""


def one_line(error: BaseException | None) -> str:
    """Return the type and message of what made a trial fail, in one line."""
    cause = cause_of(error)
    if cause is None:
        return "unknown: Ray kept no error"
    words = " ".join(str(cause).split()) or "no message"
    return f"{type(cause).__name__}: {words}"[:500]


def cause_of(error: BaseException | None) -> BaseException | None:
    """Return what a worker raised, unwrapped from Ray's error; `error` itself if not wrapped."""
    return getattr(error, "cause", None) or error


def is_passing(error: BaseException | None) -> bool:
    """Return whether an error may be gone on a retry: a full disk, or a file out of reach."""
    return is_disk_full(error) or isinstance(error, OutOfReachError)


def is_disk_full(error: BaseException | None) -> bool:
    """Return whether an error is the system's for no space or no quota left."""
    return isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}
