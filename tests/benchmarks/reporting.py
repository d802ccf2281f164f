"""What a benchmark prints: the machine, one table for people and one line of JSON for programs."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def machine(device: str = "cpu") -> dict[str, Any]:
    """Say what kind of machine the figures are from.

    Args:
        device: Where models ran.

    Returns:
        JSON-ready: `cpu` (model), `cores` that this process may use, `gpu` (empty unless it was
        used), `bfloat16` (the flags of a CPU that computes in it), `load` (of the last minute, in
        processes: above 0 others were at work) and the versions of `python`, `torch` and
        `transformers`.
    """
    return {
        "cpu": _cpu_model(),
        "cores": cores(),
        "gpu": torch.cuda.get_device_name() if device.startswith("cuda") else "",
        "bfloat16": _bfloat16_flags(),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def cores() -> int:
    """Count the cores that this process may use.

    Returns:
        At least 1.
    """
    return len(os.sched_getaffinity(0))


def show(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    record: Mapping[str, Any],
    note: str = "",
) -> None:
    """Print the table and the line of JSON.

    Args:
        title: Over the table.
        columns: Its heads; the first column is aligned left, all others right.
        rows: Its cells.
        record: JSON-ready; must hold `machine`, and `precision` where something trains.
        note: Under the table.
    """
    m = record["machine"]
    where = f"{m['gpu'] or m['cpu']}, {m['cores']} cores, load {m['load']}, torch {m['torch']}"
    where += f", {' '.join(m['bfloat16']) or 'no bfloat16'}"
    where += f", in {record['precision']}" if "precision" in record else ""
    table = Table(title=f"{title}\n{where}", caption=note or None, caption_justify="left")
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left")
    for row in rows:
        table.add_row(*row)
    console = Console()
    # A pipe has no width: a table that is cut there could not be read.
    console.width = max(console.width, 120)
    console.print(table)
    print(json.dumps(record))


def _cpu_model() -> str:
    return _cpu_info("model name") or platform.processor() or platform.machine()


def _bfloat16_flags() -> list[str]:
    return sorted({"avx512_bf16", "amx_bf16"} & set(_cpu_info("flags").split()))


def _cpu_info(name: str) -> str:
    """Read a line about the first CPU; an empty one if the system does not say."""
    path = Path("/proc/cpuinfo")
    if path.is_file():
        for line in path.read_text().splitlines():
            if line.startswith(name):
                return line.split(":", 1)[1].strip()
    return ""
