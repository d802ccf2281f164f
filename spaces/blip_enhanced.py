"""The search space of the `blip_enhanced` variant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spaces.joint import suggest_joint
from spaces.training import suggest_training

if TYPE_CHECKING:
    import optuna


def blip_enhanced_space(trial: optuna.Trial) -> None:
    """Suggest one `blip_enhanced` trial.

    Args:
        trial: The Optuna trial that draws the values.
    """
    # From the lab's one rate for all, up to the rates of a head that starts random.
    suggest_training(trial, head=(1e-5, 5e-3), backbone=(5e-6, 2e-4))
    suggest_joint(trial)
    trial.suggest_categorical("sampling", ["none", "weighted", "undersample"])
    # Steps rather than ranges: 0, which is none, must be one of them.
    trial.suggest_categorical("logit_adjustment", [0.0, 0.5, 1.0])
    trial.suggest_categorical("focal_gamma", [0.0, 1.0, 2.0])
