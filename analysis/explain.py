"""Show what a run's model looked at: `python -m analysis.explain RUN --split val --count 24`.

This package must not import torch, so `search.explain` does the work in a subprocess, which also
updates the report.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str]) -> int:
    """Run `search.explain` with the same arguments and return its exit code."""
    return subprocess.run([sys.executable, "-m", "search.explain", *arguments]).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
