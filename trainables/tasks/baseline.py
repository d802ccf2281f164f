"""The baseline: what a logistic regression makes of all that a config reads, its towers frozen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from trainables.evaluation.classes import CLASSES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from trainables.activations.raw import Source
    from trainables.data.sample import Fold
    from trainables.worker import Workbench

# Principal components kept of the embeddings: seconds instead of minutes for the same log-loss.
_COMPONENTS = 256
# Inverse strengths of the L2 penalty on standardised features, strongest first.
_STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)
_INNER_FOLDS = 3


def regress_fold(
    bench: Workbench, fold: Fold, params: Mapping[str, Any] | None = None
) -> NDArray[np.float32]:
    """Fit on a fold's training samples, and classify those it validates.

    Features are standardised, and embeddings reduced to their leading components, by the training
    samples. The penalty is the one of four with the lowest cross-entropy in three stratified folds
    inside these.

    Args:
        bench: What the process keeps.
        fold: Which labelled samples train and which validate (V of them).
        params: Hyperparameters that say what is read; those of the hand-tuned config by default.

    Returns:
        Class probabilities, shape (V, C), float32; 0 for a class that does not train.
    """
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - over a second
    from sklearn.model_selection import GridSearchCV, StratifiedKFold  # noqa: PLC0415 - likewise

    features = _reduced(*frozen_features(bench, params or {}), fold.train)
    labels = bench.experiment.corpus.labels
    model = GridSearchCV(
        LogisticRegression(max_iter=200, tol=1e-3),
        {"C": _STRENGTHS},
        scoring="neg_log_loss",
        cv=StratifiedKFold(_INNER_FOLDS, shuffle=True, random_state=0),
    )
    model.fit(features[fold.train], labels[fold.train])
    probabilities = np.zeros((len(fold.val), len(CLASSES)), np.float32)
    probabilities[:, model.classes_] = model.predict_proba(features[fold.val])
    return probabilities


def _reduced(
    embeddings: NDArray[np.float32], views: NDArray[np.float32], train: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Standardise both, and reduce the embeddings, as the samples that train have it."""
    from sklearn.decomposition import PCA  # noqa: PLC0415 - as above
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415 - likewise

    embeddings, views = (
        StandardScaler().fit(part[train]).transform(part) if part.shape[1] else part
        for part in (embeddings, views)
    )
    count = min(_COMPONENTS, len(train), embeddings.shape[1])
    components = PCA(count, random_state=0).fit(embeddings[train]).transform(embeddings)
    return np.concatenate([components, views], axis=1)


def frozen_features(
    bench: Workbench, params: Mapping[str, Any]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Compute what a config reads of the labelled samples when its towers are frozen entirely.

    Args:
        bench: The process's workbench.
        params: Hyperparameters that differ from the hand-tuned ones.

    Returns:
        The embeddings of all towers side by side, shape (N, D), and the features of all views,
        shape (N, W); float32.
    """
    rows = torch.arange(len(bench.experiment.corpus.labelled))
    config, modality = bench.variant.frozen(params), bench.experiment.modality
    readings = bench.variant.readings(config, modality).values()
    views = bench.variant.views(config, modality)

    def gathered(sources: Iterable[Source]) -> NDArray[np.float32]:
        parts = [source.gather(rows).values.flatten(1).float().cpu().numpy() for source in sources]
        return np.concatenate([np.empty((len(rows), 0), np.float32), *parts], axis=1)

    return (
        gathered(bench.source(*read) for read in readings),
        gathered(bench.view(name) for name in views),
    )
