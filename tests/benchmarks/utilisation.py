"""How busy a GPU is while a block of code runs."""

from __future__ import annotations

import statistics
import subprocess
import threading

import torch

_SECONDS_BETWEEN_LOOKS = 0.1


class Utilisation:
    """The share of time in which the GPU was at work, sampled while a block runs."""

    def __init__(self) -> None:
        self._samples: list[int] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Utilisation:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    @property
    def percent(self) -> float | None:
        """The mean in percent; None where there is no GPU or nothing that says it."""
        return statistics.mean(self._samples) if self._samples else None

    def _watch(self) -> None:
        while torch.cuda.is_available() and not self._done.wait(_SECONDS_BETWEEN_LOOKS):
            percent = gpu_percent()
            if percent is None:
                return
            self._samples.append(percent)


def gpu_percent() -> int | None:
    """Ask how busy the GPU is: the driver's library, or else the driver's command.

    Returns:
        Percent of the last moments; None where neither says it.
    """
    try:
        return torch.cuda.utilization()
    except Exception:  # noqa: BLE001 - pynvml is missing, or has an error of its own
        return _percent_by_command()


def _percent_by_command() -> int | None:
    command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
    try:
        uuid = torch.cuda.get_device_properties(torch.cuda.current_device()).uuid
        ran = subprocess.run(
            [*command, f"--id=GPU-{uuid}"], capture_output=True, text=True, timeout=5, check=True
        )
        return int(ran.stdout)
    except (OSError, subprocess.SubprocessError, ValueError, AttributeError):
        return None
