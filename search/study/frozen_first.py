"""The order of a search: trials that train heads alone come first, then what leads is opened.

Those with frozen towers cost seconds where trials with unfrozen blocks cost minutes, and what they
show of inputs, views and heads holds for the others too.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

from optuna.trial import TrialState

from search.study.tiny_space import is_tiny
from spaces.space import values_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import optuna

    from search.study.trial import TrialRecord
    from spaces.space import Space
    from trainables.hyperparameter import Value

OPENS = "opens"
"""The study's user attribute that holds the number of the trial whose towers a trial opens."""

_LAYERS = "_unfrozen_layers"
_RATE, _HEAD_RATE = "_learning_rate", "head_learning_rate"
_SHARE = 2  # half of the trials
_PERIOD = 2  # of those after them, every second opens the leader's towers


def frozen_params(space: Space, backbones: Mapping[str, str]) -> dict[str, Value]:
    """Return the values that freeze every tower of a trial.

    Args:
        space: What the search draws from.
        backbones: Where weights come from: random towers are useless when frozen.

    Returns:
        The numbers of unfrozen layers by hyperparameter, all 0; empty where the towers are random
        or the space leaves no choice, as it freezes all of them, or some never.
    """
    if is_tiny(backbones):
        return {}
    layers = {n: values_of(space.domains[n]) for n in space if n.endswith(_LAYERS)}
    if all(len(values) == 1 for values in layers.values()):
        return {}
    return dict.fromkeys(layers, 0) if all(0 in values for values in layers.values()) else {}


def is_frozen(params: Mapping[str, Any]) -> bool:
    """Return whether hyperparameters freeze every tower whose depth they choose."""
    return not any(value for name, value in params.items() if name.endswith(_LAYERS))


@dataclass(frozen=True)
class Order:
    """Asks for trials in order: every second after the frozen ones opens blocks of the leader.

    Each way to open its towers is tried once, those of the fewest blocks first, and from then on
    the way of the best trial with open blocks. Its rates are drawn anew; all else is the leader's.

    Attributes:
        space: What the search draws from.
        held: The hyperparameters that freeze every tower, from `frozen_params`; empty opens none.
        first: The number of the first trial that may open.
    """

    space: Space
    held: Mapping[str, Value]
    first: int

    @classmethod
    def of(cls, space: Space, backbones: Mapping[str, str], trials: int) -> Order:
        """Plan the order of a search of so many trials."""
        return cls(space, frozen_params(space, backbones), trials // _SHARE)

    def frozen(self, begun: int) -> list[Mapping[str, Value]]:
        """Return the hyperparameters that the first trials hold, after the configs to begin with.

        Args:
            begun: How many trials are given in full.

        Returns:
            One entry per trial: the hyperparameters that it does not draw.
        """
        return [self.held] * max(0, self.first - begun) if self.held else []

    def ask(self, study: optuna.Study, ranked: Sequence[TrialRecord]) -> optuna.Trial:
        """Ask for the next trial, and draw its hyperparameters.

        Args:
            study: The study.
            ranked: Its trials with a score, the best first.

        Returns:
            The trial; one that opens the leader's towers has the user attribute `OPENS`.
        """
        leader = next((record for record in ranked if is_frozen(record.params)), None)
        if self.held and leader is not None:
            self._enqueue_opening(study, leader, ranked)
        trial = study.ask()
        self.space.suggest(trial)
        return trial

    def _enqueue_opening(
        self, study: optuna.Study, leader: TrialRecord, ranked: Sequence[TrialRecord]
    ) -> None:
        trials = study.get_trials(deepcopy=False)
        after = len(trials) - self.first
        waits = any(trial.state is TrialState.WAITING for trial in trials)
        if waits or after < 0 or after % _PERIOD:
            return
        before = sum(OPENS in trial.user_attrs for trial in trials)
        params = self._opened(leader.params, before, ranked)
        study.enqueue_trial(params, user_attrs={OPENS: leader.number})

    def _opened(
        self, leader: Mapping[str, Any], before: int, ranked: Sequence[TrialRecord]
    ) -> dict[str, Value]:
        names = [name for name in self.held if name in leader]
        depths = product(*(map(int, values_of(self.space.domains[name])) for name in names))
        ways = sorted(filter(any, depths), key=lambda way: (sum(way), way[::-1]))
        tried = (one.params for one in ranked if not is_frozen(one.params))
        best = next((one for one in tried if one.keys() >= {*names}), None)
        if before < len(ways) or best is None:
            way = dict(zip(names, ways[before % len(ways)], strict=True))
        else:
            way = {name: best[name] for name in names}
        return {name: value for name, value in leader.items() if not _is_drawn(name)} | way


def _is_drawn(name: str) -> bool:
    return name.endswith(_LAYERS) or (name.endswith(_RATE) and name != _HEAD_RATE)
