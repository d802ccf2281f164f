"""The result of a search, first in the report: the config, its score, what it is better than."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analysis.program import counted
from analysis.render.text import (
    chosen_by_others,
    format_interval,
    format_score,
    heading,
    in_how_many,
)
from analysis.run_folder.best_record import Baseline
from analysis.tables.comparison import model_of, note_of
from analysis.tables.reference import MODELS, published
from trainables.evaluation.classes import SENTIMENTS
from trainables.evaluation.metrics import is_score, score_of
from trainables.evaluation.resampling import interval, resampled_scores
from trainables.evaluation.scores import confusion, score_confusion

if TYPE_CHECKING:
    from collections.abc import Iterator

    from analysis.run_folder.best_record import Best
    from analysis.run_folder.folder import RunFolder
    from analysis.run_folder.run import Run
    from trainables.evaluation.resampling import Validated

HAND_TUNED = "hand-tuned config"


@dataclass(frozen=True)
class Rival:
    """One row of the forest plot of scores.

    Attributes:
        low: Lower end of its 95 % interval; None if there is none.
        kind: `chosen`, `own` (of this search), `baseline` or `published`.
        note: What the score is based on, in a few words.
    """

    name: str
    score: float
    low: float | None
    high: float | None
    kind: str
    note: str


@dataclass(frozen=True)
class Answer:
    """The result of a search.

    Attributes:
        metric: The objective, without `val_`.
        title: Model and data.
        basis: `confirmed`, or `searched`: the best of many, so optimistic.
        rivals: The compared scores, that of the chosen config first.
        verdicts: Conclusions in sentences, the most important first.
        warning: Why the scores are meaningless for real data; empty if they are not.
        standing: Relative to the baseline: `above`, `below` or `level`; empty if not measured.
    """

    metric: str
    title: str
    basis: str
    rivals: tuple[Rival, ...]
    verdicts: tuple[str, ...]
    warning: str
    standing: str

    @property
    def chosen(self) -> Rival:
        """The score of the chosen config."""
        return self.rivals[0]


def answer(run: Run) -> Answer | None:
    """Summarise the result of a search; None if no trial has a score."""
    if run.best is None:
        return None
    metric = run.objective.removeprefix("val_")
    validated = run.validated(run.best.trial)
    chosen = _chosen(run, run.best, metric, validated)
    rivals = [chosen, *_tested(run, metric), *_own(run, run.best, metric)]
    rivals += [*_baselines(run.best, metric, validated), *_published(run, metric)]
    note = note_of(run)
    return Answer(
        metric=metric,
        title=f"{model_of(run)} on {run.search.data.name}",
        basis="confirmed" if run.best.confirmed else "searched",
        rivals=tuple(rivals),
        verdicts=tuple(_verdicts(run, run.best, rivals, metric)),
        warning=f"{note}: scores say nothing about real tweets" if note else "",
        standing=_standing(run.best),
    )


def _standing(best: Best) -> str:
    errors = best.baseline.standard_errors if best.baseline else None
    if errors is None or best.shipped_ensemble:  # which the baseline was not compared with
        return ""
    return "above" if errors > 1 else "below" if errors < -1 else "level"


def _chosen(run: Run, best: Best, metric: str, validated: Validated | None) -> Rival:
    name = f"chosen config (trial {best.trial})"
    if ensemble := best.shipped_ensemble:
        name, note = (
            f"ensemble of {len(ensemble.members)}",
            "on folds that did not select it",
        )
        return Rival(name, ensemble.score, *ensemble.interval, "chosen", note)
    if confirmed := best.confirmed:
        note = f"trained again on {run.search.split.fresh}"
        note += ", chosen on other folds" * (confirmed.contenders > 1)
        return Rival(name, confirmed.score, *confirmed.interval, "chosen", note)
    note = f"the best of {counted(len(run.trials), 'trial')}"
    low, high = _bounds(validated, metric)
    return Rival(name, best.score, low, high, "chosen", note)


def _bounds(validated: Validated | None, metric: str) -> tuple[float, float] | tuple[None, None]:
    if validated is None or not is_score(metric):
        return None, None
    return interval(resampled_scores(metric, [validated])[0])


def _own(run: Run, best: Best, metric: str) -> Iterator[Rival]:
    if (confirmed := best.confirmed) and best.shipped_ensemble:
        note = f"trained again on the same {run.search.split.fresh}"
        name = f"best config alone (trial {best.trial})"
        yield Rival(name, confirmed.score, *confirmed.interval, "own", note)
    elif confirmed:
        name = f"the same, as searched (trial {best.trial})"
        yield Rival(name, best.score, None, None, "own", "the best of many, so optimistic")
    if found := _hand_tuned(run, best, metric):
        yield found


def _tested(run: Run, metric: str) -> list[Rival]:
    """Return what ships on the labelled test set, where the data have one."""
    if not run.folder.test_scores.exists():
        return []
    tested = run.folder.read_test_scores()
    note = f"{counted(tested.pairs, 'pair')}, held out and used once"
    score, (low, high) = tested.scores[metric], tested.intervals[metric]
    return [Rival("the final model on the test set", score, low, high, "own", note)]


def _hand_tuned(run: Run, best: Best, metric: str) -> Rival | None:
    """Return the hand-tuned config unless it was chosen; as confirmed if it was confirmed."""
    tuned = best.hand_tuned
    if not tuned or tuned.trial == best.trial:
        return None
    for again in best.candidates or ():
        if again.trial == tuned.trial:
            low, high = again.interval or (None, None)
            note = f"trained again on the same {run.search.split.fresh}"
            return Rival(HAND_TUNED, again.confirmed, low, high, "own", note)
    low, high = _bounds(run.validated(tuned.trial), metric)
    note = "the first trial"
    return Rival(HAND_TUNED, tuned.score, low, high, "own", note)


def _baselines(best: Best, metric: str, validated: Validated | None) -> Iterator[Rival]:
    baseline = best.baseline or Baseline()
    value = baseline.logistic_regression.get(f"val_{metric}")
    if value is not None:
        low, high = baseline.interval or (None, None)
        yield Rival(
            "logistic regression",
            value,
            low,
            high,
            "baseline",
            "on the frozen features, same folds",
        )
    value = baseline.majority.get(f"val_{metric}")
    if value is None and validated is not None and _is_of_decisions(metric):
        value = majority_score(validated, metric)
    if value is not None:
        yield Rival(
            "majority class", value, None, None, "baseline", "says the commonest class always"
        )


def majority_score(validated: Validated, metric: str) -> float:
    """Score always predicting the most frequent class, by one of `decision_scores`."""
    always = np.full_like(validated.labels, np.bincount(validated.labels).argmax())
    counts = confusion(validated.labels, always, len(validated.classes))
    return float(score_confusion(metric, counts, validated.classes))


def _is_of_decisions(metric: str) -> bool:
    return is_score(metric) and score_of(metric).compute is not None


def _published(run: Run, metric: str) -> Iterator[Rival]:
    table = published().set_index("run")
    row = MODELS.get(run.search.model) if run.classes == SENTIMENTS else None
    if row is None or metric not in table or run.search.data.is_demo:
        return
    value = float(table[metric][row])
    note = "its own split of 800, larger backbones"
    yield Rival(f"the lab's {row}", value, None, None, "published", note)


def _verdicts(run: Run, best: Best, rivals: list[Rival], metric: str) -> Iterator[str]:
    if best.ensemble and best.ensemble.verdict:
        words = best.ensemble.verdict.replace(run.objective, heading(metric))
        yield f"{words[0].upper()}{words[1:]}."
    if best.verdict:
        sentence = best.verdict.replace(run.objective, heading(metric)).rstrip(".")
        yield f"{sentence[0].upper()}{sentence[1:]}."
    else:
        yield from _against_majority(rivals, metric)
        yield "No logistic regression was fitted on frozen features: there is no real baseline."
    tuned = best.hand_tuned
    if tuned and tuned.trial == best.trial:
        yield "The hand-tuned config, tried first, was not beaten."
    elif tuned:
        gain = rivals[0].score - next(r.score for r in rivals if r.name == HAND_TUNED)
        yield f"Searching changed {heading(metric)} by {gain:+.4f} from the hand-tuned config."
    yield from _basis(run, best)
    yield from on_test_set(run.folder)


def on_test_set(folder: RunFolder) -> Iterator[str]:
    """Yield sentences on how what ships does on the labelled test set, where there is one."""
    if not folder.test_scores.exists():
        return
    tested = folder.read_test_scores()
    parts = ", ".join(
        f"{heading(name)} {format_score(tested.scores[name])} "
        f"({format_interval(*tested.intervals[name])})"
        for name in tested.scores
        if score_of(name).of_class is not None
    )
    yield f"Held out and used once, {counted(tested.pairs, 'pair')}: {parts}."
    if tested.shared:
        yield (
            f"{tested.shared:,} of the held-out pairs share their text or image with "
            "pairs that were trained on, which flatters."
        )


def _basis(run: Run, best: Best) -> Iterator[str]:
    """Explain how the score was estimated, and what its interval covers."""
    confirmed = best.confirmed
    if not confirmed:
        yield (
            f"The score is the best of {counted(len(run.trials), 'trial')} on the samples that "
            "chose it, so it is optimistic."
        )
    elif confirmed.contenders > 1:
        chose = confirmed.folds_chose
        agreed = in_how_many(best.trial, f"trial {best.trial}", chose)
        yield (
            f"The score is of choosing among {confirmed.contenders} configs;"
            f" {chosen_by_others('config', chose)}{agreed}."
        )
    if confirmed and confirmed.covers:
        yield f"The interval covers {confirmed.covers}."


def _against_majority(rivals: list[Rival], metric: str) -> Iterator[str]:
    chosen = rivals[0]
    for rival in rivals:
        if rival.name == "majority class":
            sure = chosen.low is not None and chosen.low > rival.score
            yield (
                f"{'Clearly better' if sure else 'Not clearly better'} than always saying the "
                f"commonest class ({heading(metric)} {format_score(rival.score)} against "
                f"{format_score(chosen.score)}, {format_interval(chosen.low, chosen.high)})."
            )
