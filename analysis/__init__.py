"""What a search came to: loads run folders, and makes tables, comparisons and reports of them.

Only run folders are read. In a notebook:

```python
import analysis

run = analysis.load("runs/mine")
run.trials.sort_values("objective", ascending=False).head()  # one row per trial, config/* columns
run.history.pivot(index="epoch", columns="trial", values="val_macro_f1").plot  # learning curves
run.probabilities.query("trial == 0").merge(run.samples, left_on="row", right_index=True)
run.importances  # which hyperparameters mattered

both = analysis.compare([run, analysis.load("runs/other")])
both.rows[["run", "weighted_f1", "low", "high"]]  # best first, with 95 % intervals
both.pairs  # which differences are more than luck, on the same samples
```

What each column means is in `analysis.columns` and `analysis.comparison`.
"""

from analysis.comparison import Comparison, compare
from analysis.run import Run, load

__all__ = ["Comparison", "Run", "compare", "load"]
