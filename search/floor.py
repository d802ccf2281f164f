"""The floor of every search: what a logistic regression says on the same folds, in seconds.

The stage is done when the file `floor.parquet` is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from analysis.results import CLASSES
from search.candidates import per_repeat
from search.crew import Job
from search.errors import WorkError
from search.stage_view import follow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from search.crew import Crew
    from search.plan import Plan
    from trainables.data.sample import Fold


def lay_floor(crew: Crew, plan: Plan, folds: Sequence[Fold], console: Console) -> list[str]:
    """Fit a logistic regression on every fold, and keep what it says of what it did not see.

    Args:
        crew: Does the work.
        plan: The search.
        folds: Those of the configs that it is compared with.
        console: Where to show how it goes.

    Returns:
        Why there is no floor, in a plain sentence; nothing where there is one.
    """
    if plan.folder.floor.exists():
        return []
    jobs = [Job("regress_fold", {"fold": fold}) for fold in folds]
    frames = {}
    words = f"logistic regression on frozen activations, {len(folds)} folds"
    for number, said in follow(console, words, crew.run(jobs), len(jobs)):
        if isinstance(said, WorkError):
            return [f"there is no floor to compare with: {said}"]
        frame = pd.DataFrame(said, columns=list(CLASSES))
        frame.insert(0, "row", folds[number].val)
        frame.insert(0, "fold", number)
        frame.insert(0, "repeat", number // per_repeat(plan))
        frames[number] = frame
    plan.folder.write_floor(pd.concat([frames[k] for k in sorted(frames)], ignore_index=True))
    return []
