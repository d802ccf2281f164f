"""`best_model.json`: which of several searched models ships, its score, and why."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - the check is made from the annotations
from dataclasses import dataclass, field
from typing import Literal

from analysis.run_folder.best_record import Ensemble, Estimate
from analysis.run_folder.records import Count  # noqa: TC001 - likewise

Basis = Literal["confirmed", "searched"]


@dataclass(frozen=True, kw_only=True)
class Standing(Estimate):
    """A searched model beside the one that was chosen; its score is that of its own choice.

    Attributes:
        model: Its name, and that of the folder of its search.
        offers: What it would ship, in words.
        trials: How many ended.
        margin: By how much the chosen model is better; None for the chosen one itself.
        margin_error: The margin's standard error, by the paired bootstrap.
        p_value: Of the margin, two-sided.
    """

    model: str
    offers: str
    trials: Count
    margin: float | None = None
    margin_error: float | None = None
    p_value: float | None = None


@dataclass(frozen=True, kw_only=True)
class ShippedModel:
    """The model at the top of the folder: a copy of the chosen model's own, or an ensemble.

    Attributes:
        kind: `ensemble` of several models; else as `Final.kind` of the chosen one.
        why: Why it ships, in words.
        several: Whether it is an ensemble of several models.
        parameters: Of its largest member.
    """

    kind: str
    why: str
    several: bool = False
    parameters: Count = 0


@dataclass(frozen=True, kw_only=True)
class BestModel(Estimate):
    """The content of `best_model.json`; its score is that of choosing among the models.

    Each fold is scored by the model that the other folds choose.

    Attributes:
        objective: The metric that was searched for.
        mode: Whether larger or smaller is better.
        model: The chosen model.
        basis: `confirmed`: on fresh seeds and folds; `searched`: on the samples that chose each
            model's trial, so optimistic.
        folds_chose: By fold, the model that scores it.
        models: Those compared, the best first.
        left_out: Why others were not, in words, by name.
        verdict: How the chosen one compares with the others, in a sentence.
        ensemble: Configs of all models together; None where none was tried.
        shipped: What ships; None with `--no-retrain`.
    """

    objective: str
    mode: Literal["max", "min"]
    model: str
    basis: Basis
    folds_chose: tuple[str, ...]
    models: tuple[Standing, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)
    verdict: str
    ensemble: Ensemble | None = None
    shipped: ShippedModel | None = None

    @property
    def shipped_ensemble(self) -> Ensemble | None:
        """The ensemble, if it ships."""
        return self.ensemble if self.shipped and self.shipped.several else None

    @property
    def chosen(self) -> Standing:
        """The chosen model."""
        return next(one for one in self.models if one.model == self.model)
