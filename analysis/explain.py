"""Show what a run's model looked at: `python -m analysis.explain RUN --split val --count 24`.

Nothing here may import torch, so the work is `search.explain`'s, in a process of its own, which
also makes the report anew, with what it found.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str]) -> int:
    """Hand the command on.

    Args:
        arguments: The words after the program's name.

    Returns:
        The exit code of `search.explain`.
    """
    return subprocess.run([sys.executable, "-m", "search.explain", *arguments]).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
