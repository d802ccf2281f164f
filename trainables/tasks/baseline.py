"""The baseline: logistic regression on the frozen, pooled activations of both towers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from trainables.evaluation.classes import CLASSES
from trainables.modules.blocks.cut import Cut

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainables.data.sample import Fold
    from trainables.modules.blocks.cut import Pooling
    from trainables.worker import Workbench

# Inverse strengths of the L2 penalty on standardised features, strongest first.
_STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)
_INNER_FOLDS = 3


def regress_fold(bench: Workbench, fold: Fold) -> NDArray[np.float32]:
    """Fit on a fold's training samples and classify its validation samples.

    Features are standardised. The penalty is the one of four with the lowest cross-entropy in
    three stratified folds of the training samples.

    Args:
        bench: The process's workbench.
        fold: Training samples and V validation samples.

    Returns:
        Class probabilities, shape (V, C), float32; 0 for a class without training samples.
    """
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - over a second
    from sklearn.model_selection import GridSearchCV, StratifiedKFold  # noqa: PLC0415 - likewise
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415 - likewise
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415 - likewise

    features, labels = pooled(bench), bench.experiment.corpus.labels
    model = GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=200, tol=1e-3)),
        {"logisticregression__C": _STRENGTHS},
        scoring="neg_log_loss",
        cv=StratifiedKFold(_INNER_FOLDS, shuffle=True, random_state=0),
    )
    model.fit(features[fold.train], labels[fold.train])
    probabilities = np.zeros((len(fold.val), len(CLASSES)), np.float32)
    probabilities[:, model.classes_] = model.predict_proba(features[fold.val])
    return probabilities


def pooled(bench: Workbench) -> NDArray[np.float32]:
    """Return the frozen embeddings of the labelled samples, concatenated over towers.

    Args:
        bench: The process's workbench.

    Returns:
        Shape (N, D), float32. Text is pooled by the mean of its tokens, except by towers that were
        pretrained with another pooling.
    """
    rows = torch.arange(len(bench.experiment.corpus.labelled))
    parts: list[Any] = []
    for name, tower in bench.towers.items():
        # Image towers have their own pooling, for which cuts say `cls` throughout.
        pooling: Pooling = "mean" if tower.role == "text" and tower.joint is None else "cls"
        values = bench.source(name, Cut(0, pooling)).gather(rows).values
        parts.append(values.flatten(1).float().cpu().numpy())
    return np.concatenate(parts, axis=1)
