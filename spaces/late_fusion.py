"""The search space of the `late_fusion` variant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spaces.training import suggest_training

if TYPE_CHECKING:
    import optuna


def late_fusion_space(trial: optuna.Trial) -> None:
    """Suggest one `late_fusion` trial.

    Args:
        trial: The Optuna trial that draws the values.
    """
    suggest_training(trial)
    if trial.suggest_categorical("fusion", ["weighted", "vote"]) == "weighted":
        trial.suggest_float("fusion_weight", 0.2, 0.8)
    trial.suggest_categorical("text_pooling", ["cls", "mean"])
    trial.suggest_int("hidden_width", 64, 512, step=64)
    trial.suggest_float("head_dropout", 0.1, 0.6)
    trial.suggest_int("text_unfrozen_layers", 0, 2)
    trial.suggest_int("image_unfrozen_layers", 0, 2)
