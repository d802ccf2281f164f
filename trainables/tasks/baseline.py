"""The baseline: a logistic regression on all that a config reads, its towers frozen.

It is one pipeline, to be validated on a fold or to be a member of the final model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import save

from trainables.evaluation.classes import SENTIMENTS

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
_NEVER = -1e4  # the logit of a class that did not train: its probability is 0 in float32


def regress_fold(
    bench: Workbench, fold: Fold, params: Mapping[str, Any] | None = None
) -> NDArray[np.float32]:
    """Fit on a fold's training samples, and classify those it validates.

    Features are standardised, and embeddings reduced to their leading components, by the training
    samples. The penalty is the one of four with the lowest cross-entropy in three stratified folds
    inside these.

    Args:
        fold: Which labelled samples train and which validate (V of them).
        params: Hyperparameters that say what is read; those of the hand-tuned config by default.

    Returns:
        Class probabilities, shape (V, C), float32; 0 for a class that does not train.
    """
    features = frozen_features(bench, params or {})
    corpus = bench.experiment.corpus
    regression = _Regression(*features, fold.train, corpus.labels, len(corpus.classes))
    return regression.predict(*features, fold.val)


def fit_regression(bench: Workbench, params: Mapping[str, Any], rows: NDArray[np.int64]) -> bytes:
    """Fit on some labelled samples, as `regress_fold` does, and make a classifier of it.

    Standardising, reducing and regressing are affine maps, so that all three are one linear layer.

    Args:
        params: Hyperparameters that say what is read; their unfrozen layers do not matter.
        rows: Indices of labelled samples, ascending, of at least two classes.

    Returns:
        The weights, in the safetensors format, of the classifier that `Variant.build` makes of the
        frozen config with the kind `regression`.
    """
    features, corpus = frozen_features(bench, params), bench.experiment.corpus
    regression = _Regression(*features, rows, corpus.labels, len(corpus.classes))
    classifier = bench.build_classifier(bench.variant.frozen(params), "regression")
    weight, bias = (torch.from_numpy(part).float() for part in regression.affine())
    classifier.head.load_state_dict({"linear.weight": weight, "linear.bias": bias})
    state: bytes = save(classifier.state_dict())
    return state


class _Regression:
    """A logistic regression on standardised features, of embeddings their leading components.

    Args:
        embeddings: Of all samples, shape (N, D), float32.
        views: Features of all samples, shape (N, W), float32; W may be 0.
        rows: The samples that train.
        labels: Classes of all samples, shape (N,), int64.
        classes: Number of classes, C.
    """

    def __init__(
        self,
        embeddings: NDArray[np.float32],
        views: NDArray[np.float32],
        rows: NDArray[np.int64],
        labels: NDArray[np.int64],
        classes: int = len(SENTIMENTS),
    ) -> None:
        from sklearn.decomposition import PCA  # noqa: PLC0415 - over a second
        from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - likewise
        from sklearn.model_selection import GridSearchCV, StratifiedKFold  # noqa: PLC0415 - likewise
        from sklearn.preprocessing import StandardScaler  # noqa: PLC0415 - likewise

        self._classes = classes
        self._scaling = StandardScaler().fit(embeddings[rows])
        self._view_scaling = StandardScaler().fit(views[rows]) if views.shape[1] else None
        count = min(_COMPONENTS, len(rows), embeddings.shape[1])
        scaled = self._scaling.transform(embeddings[rows])
        self._components = PCA(count, random_state=0).fit(scaled)
        self._model = GridSearchCV(
            LogisticRegression(max_iter=200, tol=1e-3),
            {"C": _STRENGTHS},
            scoring="neg_log_loss",
            cv=StratifiedKFold(_INNER_FOLDS, shuffle=True, random_state=0),
        )
        self._model.fit(self._reduced(embeddings, views)[rows], labels[rows])

    def _reduced(
        self, embeddings: NDArray[np.float32], views: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        components = self._components.transform(self._scaling.transform(embeddings))
        scaled = views if self._view_scaling is None else self._view_scaling.transform(views)
        return np.concatenate([components, scaled], axis=1)

    def predict(
        self,
        embeddings: NDArray[np.float32],
        views: NDArray[np.float32],
        rows: NDArray[np.int64],
    ) -> NDArray[np.float32]:
        """Classify V of the samples: probabilities (V, C), 0 for a class that did not train."""
        probabilities = np.zeros((len(rows), self._classes), np.float32)
        features = self._reduced(embeddings, views)[rows]
        probabilities[:, self._model.classes_] = self._model.predict_proba(features)
        return probabilities

    def affine(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the map from features to logits: weights (C, D + W) and bias (C,)."""
        model, scaling, components = self._model.best_estimator_, self._scaling, self._components
        coefficients, intercepts = model.coef_.astype(np.float64), model.intercept_
        if len(coefficients) == 1:  # of two classes, the first has logit 0
            coefficients = np.vstack([np.zeros_like(coefficients), coefficients])
            intercepts = np.concatenate([[0.0], intercepts])
        count = components.n_components_
        of_scaled = coefficients[:, :count] @ components.components_  # (K, D)
        weights = of_scaled / scaling.scale_
        biases = intercepts - of_scaled @ components.mean_ - weights @ scaling.mean_
        if self._view_scaling is not None:
            of_views = coefficients[:, count:] / self._view_scaling.scale_
            weights = np.hstack([weights, of_views])
            biases = biases - of_views @ self._view_scaling.mean_
        weight = np.zeros((self._classes, weights.shape[1]))
        bias = np.full(self._classes, _NEVER)
        weight[model.classes_], bias[model.classes_] = weights, biases
        return weight, bias


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
