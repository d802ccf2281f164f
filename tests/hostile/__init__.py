"""Inputs made to do harm, or as bad by accident; each is refused in one clear message.

`CASES` is what is tried, by `test_hostile.py` inside the test's process and by
`python -m tests.benchmarks.hostile` through the real command line. To add some: write a module
beside `data.py` with a tuple of `Case`, and add it here.
"""

from __future__ import annotations

from tests.hostile.case import Case
from tests.hostile.data import DATA_SETS
from tests.hostile.folders import FOLDERS

CASES: tuple[Case, ...] = (*DATA_SETS, *FOLDERS)

__all__ = ["CASES", "Case"]
