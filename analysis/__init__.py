"""Load run folders of searches, and make tables, comparisons and reports of them.

Nothing but run folders is read. In a notebook:

```python
import analysis

run = analysis.load("runs/mine")
run.trials.sort_values("objective", ascending=False).head()  # one row per trial, config/* columns
run.history.pivot(index="epoch", columns="trial", values="val_macro_f1").plot  # learning curves
run.probabilities.query("trial == 0").merge(run.samples, left_on="row", right_index=True)
run.importances  # of the hyperparameters

both = analysis.compare_runs([run, analysis.load("runs/other")])
both.rows[["run", "weighted_f1", "low", "high"]]  # best first, with 95 % intervals
both.pairs  # paired comparisons on the same samples
```

Columns are described in `analysis.run_folder.schema` and `analysis.tables.comparison`.
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
    """Import lazily: a command's `--help` must not wait for pandas."""
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(importlib.import_module(_HOMES[name]), name)
