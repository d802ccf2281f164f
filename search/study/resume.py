"""Resume a search: its study repaired after a kill, and its trials read back.

A trial keeps its number, its parameters and what it reported, however often the search is killed:
it waits in the study until it is asked for again. So a search of N trials has the trials 0 to N-1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from optuna.trial import TrialState

from search.study.trial import HAND_TUNED, Records, TrialRecord

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

    from search.study.trial import Fate

MOST_LOSSES = 5
"""How often a trial may be at work when its search is killed; then it is no chance any more."""

_LOSSES = "losses"
_FATES: dict[TrialState, Fate] = {TrialState.COMPLETE: "finished", TrialState.PRUNED: "stopped"}


def put_right(study: optuna.Study) -> None:
    """Repair a study whose driver was killed: its running trials wait to be continued.

    Args:
        study: The study; no driver is at work on it.
    """
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        losses = trial.user_attrs.get(_LOSSES, 0) + 1
        facts = {_LOSSES: losses}
        if losses > MOST_LOSSES:
            facts |= {
                "fate": "failed",
                "epochs": max(trial.intermediate_values, default=0),
                "error": f"it was at work each of the {losses} times that the search was killed",
            }
        for name, fact in facts.items():
            # Optuna's public API cannot set attributes of a trial that another process began.
            study._storage.set_trial_user_attr(trial._trial_id, name, fact)
        if losses > MOST_LOSSES:
            study.tell(trial.number, state=TrialState.FAIL)
        else:
            requeue(study, trial)


def requeue(study: optuna.Study, trial: optuna.Trial | FrozenTrial) -> None:
    """Put a trial that has begun back in the queue: the next `ask` returns it again, unchanged."""
    # Optuna's public API has no such transition, but its storages accept any state.
    study._storage.set_trial_state_values(trial._trial_id, state=TrialState.WAITING)


def records_of(study: optuna.Study) -> Records:
    """Read back the trials that have begun, by `name_of` their numbers; none may be running."""
    begun = (trial for trial in study.get_trials(deepcopy=False) if trial.params)
    return {name_of(trial.number): _record_of(trial) for trial in begun}


def name_of(number: int) -> str:
    """Name a trial by its number in the study, until Ray gives it an id."""
    return f"study-{number}"


def _record_of(trial: FrozenTrial) -> TrialRecord:
    facts = trial.user_attrs
    fate = _FATES.get(trial.state, "interrupted")
    if trial.state is TrialState.FAIL:
        fate = facts.get("fate", "interrupted")
    reported = max(trial.intermediate_values, default=0)
    # What a crashed attempt reported after the epoch where its retry ended is void.
    last = facts.get("epochs", reported) if trial.state.is_finished() else reported
    scores = {e: score for e, score in sorted(trial.intermediate_values.items()) if e <= last}
    if trial.state.is_finished() and "best_epoch" in facts:
        scores |= {facts["best_epoch"]: facts["objective"]}
    return TrialRecord(
        number=trial.number,
        params=dict(trial.params),
        hand_tuned=bool(facts.get(HAND_TUNED, False)),
        scores=scores,
        reported=reported,
        seconds=facts.get("seconds", 0.0),
        stopped=fate == "stopped",
        error=facts.get("error", ""),
        note=facts.get("note", ""),
        fate=fate,
        retries=facts.get("retries", 0),
        peak_memory_mb=facts.get("peak_memory_mb", 0.0),
    )
