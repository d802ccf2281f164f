"""Late fusion decided in every way: one training kept the branches, so that this costs nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analysis.fusion import branches_of, fusion_scores
from search.trials import neutral_threshold

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from analysis.results import RunFolder


def write_fusions(folder: RunFolder, best: Mapping[str, Any], labels: NDArray[np.int64]) -> None:
    """Score every fusion of the chosen trial's branches, and write the table.

    Args:
        folder: Where it goes; the trial's probabilities are read. Without branches in them
            nothing is written.
        best: The content of `best.json`.
        labels: Classes of the labelled samples, shape (N,), int64.
    """
    kept = folder.read_trial_probabilities(best["trial"])
    branches = branches_of(kept)
    if not branches:
        return
    first, second = branches.values()
    threshold = neutral_threshold(best["params"])
    folder.write_fusions(fusion_scores(labels[kept["row"]], first, second, threshold))


def fusion_rows(folder: RunFolder, metric: str) -> dict[str, dict[str, float]]:
    """Name the fusions that are worth a look.

    Args:
        folder: Where the table is, if there is one.
        metric: The objective.

    Returns:
        Scores of the vote and of the best weight, by what to call them; empty without a table.
    """
    if not folder.fusions.exists():
        return {}
    table = folder.read_fusions()
    order = metric.removeprefix("val_")
    order = order if order in table else "weighted_f1"
    weighted = table[table["fusion"] == "weighted"]
    best = weighted.sort_values(order, kind="stable").iloc[-1]
    rows = {"by vote": table[table["fusion"] == "vote"].iloc[0]}
    rows[f"by text weight {best['weight']:.2f}"] = best
    return {
        name: {f"val_{key}": row[key] for key in table.columns.drop(["fusion", "weight"])}
        for name, row in rows.items()
    }
