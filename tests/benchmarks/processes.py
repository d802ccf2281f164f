"""What a process and all that it started take, read from Linux's `/proc` while they run."""

from __future__ import annotations

import os
import time
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


class ProcessTree:
    """A process and its descendants, as far as they have been seen.

    Args:
        pid: The process.

    Attributes:
        peak_mb: Most memory that the process itself held, its descendants not counted, in MB.
        held_mb: What it held at each look, by Unix time.
        spent: Core-seconds that it and its descendants had used at each look, by Unix time.
        workers_mb: Most memory that one of Ray's workers held, in MB, by what it did.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._ticks: dict[int, int] = {}
        self.peak_mb = 0.0
        self.held_mb: dict[float, float] = {}
        self.spent: dict[float, float] = {}
        self.workers_mb: dict[str, float] = {}

    def look(self) -> None:
        """Read what they have used; often, for what an ended process used since is not seen."""
        held, peak = _memory_mb(self._pid)
        now = time.time()
        self.held_mb[now] = held
        self.peak_mb = max(self.peak_mb, peak)
        used, parents = {}, {}
        for path in Path("/proc").iterdir():
            if path.name.isdigit() and (stat := _stat(path)) is not None:
                parents[int(path.name)], used[int(path.name)] = stat
        for pid in parents:
            if self._descends(pid, parents):
                self._ticks[pid] = max(used[pid], self._ticks.get(pid, 0))
                self._look_at_worker(pid)
        self.spent[now] = self.core_seconds

    def _look_at_worker(self, pid: int) -> None:
        try:
            name = Path(f"/proc/{pid}/cmdline").read_text().split("\0")[0].strip()
        except OSError:
            return
        if name.startswith("ray::"):  # Ray names a worker after its task
            _, peak = _memory_mb(pid)
            self.workers_mb[name] = max(peak, self.workers_mb.get(name, 0.0))

    @property
    def core_seconds(self) -> float:
        """Time of all cores that they have used, in seconds: others on the machine hardly add."""
        return sum(self._ticks.values()) / _TICK

    def _descends(self, pid: int, parents: dict[int, int]) -> bool:
        # One that was seen before belongs here even when its parent has ended.
        while pid in parents:
            if pid == self._pid or pid in self._ticks:
                return True
            pid = parents[pid]
        return False


def _stat(path: Path) -> tuple[int, int] | None:
    """Parent and used ticks of a process; None when it has gone."""
    try:
        fields = (path / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[1]), int(fields[11]) + int(fields[12])


def _memory_mb(pid: int) -> tuple[float, float]:
    """What a process holds and what it held at most, in MB; 0 once it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0, 0.0
    found = dict(line.split(":", 1) for line in status.splitlines())
    held, peak = (float(found.get(name, "0").split()[0]) / 1e3 for name in ("VmRSS", "VmHWM"))
    return held, peak
