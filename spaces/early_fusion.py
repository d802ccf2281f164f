"""The search space of the `early_fusion` variant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spaces.training import suggest_training

if TYPE_CHECKING:
    import optuna


def early_fusion_space(trial: optuna.Trial) -> None:
    """Suggest one `early_fusion` trial.

    Args:
        trial: The Optuna trial that draws the values.
    """
    suggest_training(trial, head=(2e-4, 2e-3), backbone=(1e-5, 2e-4))
    trial.suggest_categorical("normalize", [False, True])
    trial.suggest_categorical("projection_width", [128, 256, 512])
    trial.suggest_int("hidden_width", 128, 1024, step=128)
    # A few thousand pairs are learnt by heart in three epochs without much dropout.
    trial.suggest_float("head_dropout", 0.3, 0.7)
    trial.suggest_int("text_unfrozen_layers", 0, 2)
    trial.suggest_int("image_unfrozen_layers", 0, 2)
