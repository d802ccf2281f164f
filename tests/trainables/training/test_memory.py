from __future__ import annotations

import subprocess
import sys

PROBE = """
import torch
from trainables.training.memory import peak_memory_mb
cpu = torch.device("cpu")
before = peak_memory_mb(cpu)  # what started this process may have held as much
held = torch.ones(int((before + 200) * 1e6 / 4), dtype=torch.float32)
peak = peak_memory_mb(cpu)
assert before + 200 <= peak <= before + 1200, (before, peak)
"""


def test_the_peak_without_a_gpu_is_that_of_the_process_in_megabytes() -> None:
    subprocess.run([sys.executable, "-c", PROBE], check=True)
