"""The search space of the `clip` variant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spaces.joint import suggest_joint
from spaces.training import suggest_training

if TYPE_CHECKING:
    import optuna


def clip_space(trial: optuna.Trial) -> None:
    """Suggest one `clip` trial.

    Args:
        trial: The Optuna trial that draws the values.
    """
    # From the lab's one rate for all, up to the rates of a head that starts random.
    suggest_training(trial, head=(2e-5, 5e-3), backbone=(5e-6, 2e-4))
    suggest_joint(trial)
