from __future__ import annotations

import resource
from pathlib import Path

import pytest
import torch

from trainables.training.memory import peak_memory_mb

STATM = Path("/proc/self/statm")


@pytest.mark.skipif(not STATM.exists(), reason="what a process holds is read from /proc")
def test_the_peak_without_a_gpu_is_that_of_the_process_in_megabytes() -> None:
    cpu = torch.device("cpu")
    before = peak_memory_mb(cpu)
    resident = int(STATM.read_text().split()[1]) * resource.getpagesize() / 1e6
    held = torch.ones(int((before - resident + 200) * 1e6 / 4), dtype=torch.float32)
    assert before + 175 <= peak_memory_mb(cpu) <= before + 225
    del held
    assert peak_memory_mb(cpu) >= before + 175
