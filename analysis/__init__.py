"""What a search came to: loads run folders, and makes tables, comparisons and reports of them.

Only run folders are read. `analysis.load("runs/NAME")` gives a run's tables as DataFrames, and
`analysis.compare([run, other])` puts runs side by side.
"""

from analysis.comparison import Comparison, compare
from analysis.run import Run, load

__all__ = ["Comparison", "Run", "compare", "load"]
