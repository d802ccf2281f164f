"""What a search came to: loads run folders, and makes tables, comparisons and reports of them.

Only run folders are read. In a notebook:

```python
import analysis

run = analysis.load("runs/mine")
run.trials.sort_values("objective", ascending=False).head()  # one row per trial, config/* columns
run.history.pivot(index="epoch", columns="trial", values="val_macro_f1").plot  # learning curves
run.probabilities.query("trial == 0").merge(run.samples, left_on="row", right_index=True)
run.importances  # which hyperparameters mattered

both = analysis.compare_runs([run, analysis.load("runs/other")])
both.rows[["run", "weighted_f1", "low", "high"]]  # best first, with 95 % intervals
both.pairs  # which differences are more than luck, on the same samples
```

What each column means is in `analysis.run_folder.schema` and `analysis.tables.comparison`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.run_folder.run import Run, load
    from analysis.tables.comparison import Comparison, compare_runs

__all__ = ["Comparison", "Run", "compare_runs", "load"]

_HOMES = {
    "Comparison": "analysis.tables.comparison",
    "Run": "analysis.run_folder.run",
    "compare_runs": "analysis.tables.comparison",
    "load": "analysis.run_folder.run",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for only then: a command's `--help` must not wait for pandas."""
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(importlib.import_module(_HOMES[name]), name)
