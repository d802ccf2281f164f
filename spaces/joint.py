"""The ranges of the variants on one checkpoint with two towers: CLIP and BLIP."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna


def suggest_joint(trial: optuna.Trial, *, crosses: bool = False) -> None:
    """Suggest what is fused, how, and how much of the towers trains.

    Args:
        trial: The Optuna trial that draws the values.
        crosses: Whether text can read its image.
    """
    trial.suggest_categorical("fusion", ["add", "concat", *["cross"] * crosses])
    trial.suggest_categorical("normalize", [False, True])
    trial.suggest_categorical("hidden_width", [64, 128, 256, 512])
    trial.suggest_float("head_dropout", 0.1, 0.6)
    trial.suggest_float("block_dropout", 0.0, 0.5)
    trial.suggest_int("text_unfrozen_layers", 0, 2)
    trial.suggest_int("image_unfrozen_layers", 0, 2)
