"""`best.json`: the chosen config, its scores, and why it was chosen."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - the check is made from the annotations
from dataclasses import dataclass, field
from typing import Any, Literal

from analysis.run_folder.records import Count, Interval, Scores, omitted


@dataclass(frozen=True, kw_only=True)
class ScoredTrial:
    """A trial at its best epoch."""

    trial: Count
    fate: str = ""
    best_epoch: Count = 0
    score: float
    scores: Scores


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A score on the folds that configs were confirmed on, and how sure it is.

    Attributes:
        score: The objective, the mean over folds.
        spread: Its standard deviation over folds.
        standard_error: By the bootstrap.
        interval: Of 95 %, by the bootstrap.
        covers: What the interval covers, in words.
        scores: Every score, the mean over folds.
    """

    score: float
    spread: float | None = None
    standard_error: float | None = None
    interval: Interval
    covers: str = ""
    scores: Scores


@dataclass(frozen=True, kw_only=True)
class Confirmed(Estimate):
    """Scores of the best configs, trained again on fresh seeds and folds.

    Each fold is scored by the config that the other folds choose.

    Attributes:
        epochs: Epochs of the chosen config, the mean over folds.
        repeats: How often the folds were drawn anew.
        contenders: The number of configs to choose from.
        folds_chose: By fold, the trial that scores it; of a single fold, its first pair.
    """

    epochs: Count | None = None
    repeats: Count = 1
    contenders: Count = 1
    folds_chose: tuple[Count, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A config that was trained again.

    Attributes:
        searched: The objective in the search.
        confirmed: The objective when trained again, the mean over folds.
        spread: The standard deviation over folds.
        interval: Of 95 %, by the bootstrap.
        epochs: The epochs that it was scored at, the mean over folds.
    """

    trial: Count
    hand_tuned: bool = False
    searched: float | None
    confirmed: float
    spread: float | None = None
    interval: Interval | None = None
    epochs: Count | None = None


@dataclass(frozen=True, kw_only=True)
class RunnerUp:
    """By how much the chosen config is better than the second best, by the paired bootstrap."""

    trial: Count
    other: Count
    difference: float
    interval: Interval
    p_value: float


@dataclass(frozen=True, kw_only=True)
class Decision:
    """How probabilities become classes.

    Attributes:
        rule: The trial's own threshold, none, or one that was tuned on other folds.
        neutral_threshold: Neutral where both polar probabilities are under it, in [0, 1].
        temperature: Calibrates the probabilities that are shown.
        searched_score: The objective by the rule `searched`.
        tuned_score: The objective by the rule `tuned`.
        neutral_weight: Multiplies the probability of neutral before the largest is taken, > 0;
            None for 1.
    """

    rule: Literal["searched", "argmax", "tuned"]
    neutral_threshold: float | None = None
    temperature: float | None = None
    searched_score: float | None = None
    tuned_score: float | None = None
    neutral_weight: float | None = field(default=None, metadata=omitted("neutral_weight"))


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """Scores that need no search, on the folds that the configs were confirmed on.

    Attributes:
        majority: Scores of always predicting the most frequent class.
        logistic_regression: Scores of the regression on the frozen features.
        interval: The regression's, of 95 %.
        margin: By how much the confirmed score is better than the regression's.
        standard_errors: The margin in standard errors of the difference.
        hand_tuned: Scores of the hand-tuned config, where it was confirmed.
    """

    majority: Scores = field(default_factory=dict)
    logistic_regression: Scores = field(default_factory=dict)
    interval: Interval | None = None
    margin: float | None = None
    standard_errors: float | None = None
    hand_tuned: Scores | None = field(default=None, metadata=omitted("hand_tuned"))


@dataclass(frozen=True, kw_only=True)
class EnsembleMember:
    """A part of an ensemble.

    Attributes:
        trial: The trial whose config it is; None for a logistic regression.
        reads: What the regression reads, as hyperparameters; empty for a trial.
        weight: Its share of the mean probabilities, in (0, 1].
        confirmed: Its objective alone, on the folds that configs were confirmed on.
        epochs: The number that it is trained for; 0 for a regression.
        model: The variant whose trial it is, in an ensemble of several; None in one of one.
    """

    trial: Count | None = None
    reads: Mapping[str, Any] = field(default_factory=dict)
    weight: float
    confirmed: float
    epochs: Count = 0
    model: str | None = field(default=None, metadata=omitted("model"))

    @property
    def name(self) -> str:
        """Its name in reports."""
        if self.trial is not None:
            return f"trial {self.trial}" + f" of {self.model}" * (self.model is not None)
        reads = ", ".join(f"{name}={value}" for name, value in self.reads.items())
        return f"logistic regression ({reads})" if reads else "logistic regression"


@dataclass(frozen=True, kw_only=True)
class Ensemble(Estimate):
    """A greedy ensemble of trials and regressions, on the folds that configs were confirmed on.

    It was selected on the folds of the search, so these folds had no part in the selection. One of
    several models is selected on these folds, and each is scored by what the others select.

    Attributes:
        members: By weight, the largest first.
        margin: By how much it is better than choosing one config, or one model of several.
        margin_error: The margin's standard error, by the paired bootstrap.
        p_value: Of the margin, two-sided.
        preferred: Whether the margin is larger than its standard error.
        neutral_weight: It multiplies the probability of neutral before the decision.
        temperature: Calibrates the probabilities that are shown.
        verdict: All that in a sentence.
        neutral_threshold: Neutral where both polar probabilities are under it, in [0, 1]; None
            for 0.
    """

    members: tuple[EnsembleMember, ...]
    margin: float
    margin_error: float
    p_value: float
    preferred: bool
    neutral_weight: float = 1.0
    temperature: float | None = None
    verdict: str = ""
    neutral_threshold: float | None = field(default=None, metadata=omitted("neutral_threshold"))


@dataclass(frozen=True, kw_only=True)
class Final:
    """The final model.

    Attributes:
        kind: `refit`, `average` or `folds` of the chosen config, or `ensemble`. Runs of older
            versions called `folds` an ensemble.
        why: Why this kind, in words.
        scores: The objective of each kind in nested validation.
        epochs: The number that it was trained for.
        seeds: The number that it is averaged over.
        members: The number of models in it.
        temperature: Calibrates its probabilities.
        parameters: Of all members.
    """

    kind: str
    why: str | None = None
    scores: Scores | None = None
    epochs: Count = 0
    seeds: Count = 1
    members: Count = 1
    temperature: float | None = None
    parameters: Count = 0


@dataclass(frozen=True, kw_only=True)
class Best:
    """The content of `best.json`.

    Attributes:
        objective: The metric that was searched for.
        trial: The chosen trial.
        fate: How it ended.
        best_epoch: The epoch, from 1, where its objective was best.
        score: Its objective there.
        scores: Every metric there.
        params: Its hyperparameters.
        why: Why it was chosen, in words.
        hand_tuned: The hand-tuned config in the search; None where it has no score.
        confirmed: Its scores when trained again. This and what follows is None where its stage
            was left out, and absent from the file until the stages after the trials are done.
        candidates: The configs that were trained again, the best first.
        comparison: The best against the second best of them.
        decision: How the chosen config decides.
        verdict: Whether the search was worth it, in a sentence.
        ensemble: Trials and regressions together; None where none was worth a try.
        final: The model that ships; None until there is one.
    """

    objective: str = ""
    mode: Literal["max", "min"] = "max"
    trial: Count
    fate: str = ""
    best_epoch: Count
    score: float
    scores: Scores
    params: Mapping[str, Any]
    why: str
    hand_tuned: ScoredTrial | None = None
    confirmed: Confirmed | None = field(default=None, metadata=omitted("selection"))
    candidates: tuple[Candidate, ...] | None = field(default=None, metadata=omitted("selection"))
    comparison: RunnerUp | None = field(default=None, metadata=omitted("selection"))
    decision: Decision | None = field(default=None, metadata=omitted("selection"))
    baseline: Baseline | None = field(default=None, metadata=omitted("selection", key="floor"))
    verdict: str | None = field(default=None, metadata=omitted("selection"))
    ensemble: Ensemble | None = field(default=None, metadata=omitted("ensemble"))
    final: Final | None = field(default=None, metadata=omitted("final"))

    @property
    def shipped_ensemble(self) -> Ensemble | None:
        """The ensemble, if it is the final model."""
        return self.ensemble if self.final and self.final.kind == "ensemble" else None
