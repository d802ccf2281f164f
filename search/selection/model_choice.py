"""Choose among the searches of several models, with standard errors.

Nothing is trained: the searches have kept their predictions of folds that they share. The score is
that of the choice itself: each fold is scored by the model that the other folds choose.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from analysis.run_folder.best_model_record import BestModel, Standing
from analysis.run_folder.best_record import Ensemble, EnsembleMember
from search.selection.baseline import compared
from search.selection.choice import ensemble_verdict, estimate
from search.selection.joined_runs import offer_of, rule_in, select_ensemble, unlike
from trainables.evaluation.calibration import fit_temperature
from trainables.evaluation.ensembling import select_bagged
from trainables.evaluation.model_choice import choose_model_by_others
from trainables.evaluation.resampling import Validated, paired, resampled_scores

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from analysis.run_folder.best_model_record import Basis
    from analysis.run_folder.run import Run
    from search.selection.joined_runs import Selected
    from trainables.evaluation.choice import Rule
    from trainables.evaluation.model_choice import ModelChoice, Offer
    from trainables.evaluation.resampling import PairedDifference


class Comparable(NamedTuple):
    """Searches whose scores can be compared, by model, and why the others cannot be.

    Attributes:
        runs: The searches, in the order in which they were searched.
        basis: On what they are compared: see `BestModel`.
        left_out: Why others are left out, by model.
    """

    runs: Mapping[str, Run]
    basis: Basis
    left_out: Mapping[str, str]


def comparable(runs: Mapping[str, Run]) -> Comparable:
    """Select the searches to choose among: those that confirmed configs, if any has."""
    confirmed = any(map(_is_confirmed, runs.values()))
    able: dict[str, Run] = {}
    left_out = {}
    for name, run in runs.items():
        if why := _why_not(run, list(able.values())[:1], confirmed=confirmed):
            left_out[name] = why
        else:
            able[name] = run
    return Comparable(able, "confirmed" if confirmed else "searched", left_out)


def _is_confirmed(run: Run) -> bool:
    return bool(run.candidates) and run.reported is not None and run.folder.model.is_dir()


def _why_not(run: Run, first: Sequence[Run], *, confirmed: bool) -> str:
    if run.best is None:
        return "none of its trials has a score"
    if confirmed and not _is_confirmed(run):
        return "it has no confirmed config with a model, as others have"
    if not confirmed and run.validated(run.best.trial) is None:
        return "it has kept no probabilities of its best trial"
    for one in first:
        if other := unlike(one, run):
            return f"it was searched with another {' and '.join(other)} than {one.search.model}"
        mine, theirs = (_reported(each, confirmed=confirmed) for each in (one, run))
        if not (
            np.array_equal(mine.rows, theirs.rows) and np.array_equal(mine.parts, theirs.parts)
        ):
            return f"it was scored on other samples or folds than {one.search.model}"
    return ""


def _reported(run: Run, *, confirmed: bool) -> Validated:
    assert run.best is not None
    found = run.reported if confirmed else run.validated(run.best.trial)
    assert found is not None
    return found


def choose_model(found: Comparable, size: int = 0) -> BestModel:
    """Choose the model with the best score among searches, of which there is one at least.

    Args:
        found: The searches.
        size: The most members of an ensemble of their confirmed configs, which is compared with
            the choice of one; under 2 for none.

    Returns:
        The choice.
    """
    runs, names = list(found.runs.values()), list(found.runs)
    first, rule = runs[0].search, rule_in(runs[0])
    seed = first.settings.seed or 0
    choice = choose_model_by_others([_offer(run, found.basis) for run in runs], rule)
    joined = None
    if size > 1 and found.basis == "confirmed":
        select = partial(select_bagged, size=size, seed=seed)
        joined = select_ensemble(runs, rule, select)
    ways = [choice.validated, *choice.own, *([joined.validated] if joined else [])]
    draws = resampled_scores(rule.score, ways, seed=seed)
    standings = list(_standings(rule, runs, choice, draws[1:]))
    standings.sort(key=lambda each: -rule.sign * each.score)
    _, firsts = np.unique(choice.validated.parts, return_index=True)
    scores = estimate(rule.score, choice.validated, draws[0])
    return BestModel(
        **scores,
        objective=first.objective,
        mode=first.mode,
        model=names[choice.best],
        basis=found.basis,
        folds_chose=tuple(names[pick] for pick in choice.picks[firsts]),
        models=tuple(standings),
        left_out=found.left_out,
        verdict=_verdict(first.objective, standings),
        ensemble=_ensemble(rule, joined, choice.validated, draws) if joined else None,
    )


def _offer(run: Run, basis: Basis) -> Offer:
    return offer_of(run) if basis == "confirmed" else _reported(run, confirmed=False)


def _standings(
    rule: Rule, runs: Sequence[Run], choice: ModelChoice, draws: NDArray[np.float64]
) -> Iterator[Standing]:
    """Compare the chosen model with each; `draws` (M, B) are of what each says by itself."""
    best = choice.own[choice.best].score(rule.score)
    for number, (run, one) in enumerate(zip(runs, choice.own, strict=True)):
        margin = None
        if number != choice.best:
            margin = paired(best - one.score(rule.score), draws[choice.best] - draws[number])
        yield _standing(rule, run, one, draws[number], margin)


def _standing(
    rule: Rule,
    run: Run,
    validated: Validated,
    draws: NDArray[np.float64],
    margin: PairedDifference | None,
) -> Standing:
    assert run.best is not None
    ensemble = run.best.shipped_ensemble
    paired: dict[str, Any] = {}
    if margin:
        paired = {
            "margin": rule.sign * margin.difference,
            "margin_error": margin.standard_error,
            "p_value": margin.p_value,
        }
    return Standing(
        **estimate(rule.score, validated, draws),
        model=run.search.model,
        offers=f"ensemble of {len(ensemble.members)}" if ensemble else f"trial {run.best.trial}",
        trials=len(run.trials),
        **paired,
    )


def _ensemble(
    rule: Rule, joined: Selected, single: Validated, draws: NDArray[np.float64]
) -> Ensemble:
    """Record an ensemble; of `draws` (A, B) the first are of the choice, the last of it."""
    score, alone = joined.validated.score(rule.score), single.score(rule.score)
    found = paired(score - alone, draws[-1] - draws[0])
    margin, error = rule.sign * found.difference, found.standard_error
    validated, weights = joined.validated, joined.weights
    order = [k for k in np.argsort(-weights, kind="stable") if weights[k] > 0]
    members = [
        EnsembleMember(
            model=joined.configs[k][0].search.model,
            trial=joined.configs[k][1].trial,
            weight=float(weights[k]),
            confirmed=joined.alone[k],
            epochs=joined.configs[k][1].epochs or 1,
        )
        for k in order
    ]
    return Ensemble(
        **estimate(rule.score, validated, draws[-1]),
        members=tuple(members),
        margin=margin,
        margin_error=error,
        p_value=found.p_value,
        preferred=len(members) > 1 and margin > error,
        temperature=fit_temperature(validated.labels, validated.probabilities),
        neutral_threshold=joined.neutral_threshold,
        verdict=ensemble_verdict(
            f"the val_{rule.score} of {score:.4f} of an ensemble of the models' configs, each fold"
            " by what the others select,",
            f"choosing one model ({alone:.4f})",
            margin,
            error,
        ),
    )


def _verdict(objective: str, standings: Sequence[Standing]) -> str:
    best, *others = standings
    if not others:
        return f"{best.model} is the only model to choose from, {objective} {best.score:.4f}"
    margins = {
        one.model: (one.margin or 0.0, one.margin / one.margin_error if one.margin_error else None)
        for one in others
        if one.margin is not None
    }
    return f"{best.model}'s {objective} of {best.score:.4f} {compared(margins)}"
