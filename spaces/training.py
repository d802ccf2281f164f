"""The ranges that every variant shares, for some thousand samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna

Range = tuple[float, float]


def suggest_training(
    trial: optuna.Trial, *, head: Range = (1e-4, 5e-3), backbone: Range = (1e-5, 3e-4)
) -> None:
    """Suggest the optimiser, schedule, loss and decision of `TrainConfig`.

    Args:
        trial: The Optuna trial that draws the values.
        head: Lowest and highest learning rate of what starts random.
        backbone: Lowest and highest learning rate of unfrozen pretrained layers.
    """
    trial.suggest_float("head_learning_rate", *head, log=True)
    trial.suggest_float("backbone_learning_rate", *backbone, log=True)
    trial.suggest_float("weight_decay", 1e-5, 1e-1, log=True)
    if trial.suggest_categorical("schedule", ["cosine", "plateau"]) == "cosine":
        trial.suggest_float("warmup_ratio", 0.0, 0.3)
    trial.suggest_categorical("batch_size", [16, 32, 64])
    trial.suggest_float("label_smoothing", 0.0, 0.15)
    # Steps rather than a log range: 0, which weighs all samples alike, must be one of them.
    trial.suggest_categorical("class_weight_smoothing", [0.0, 0.03, 0.1, 1.0])
    # Up to a third, neutral is the most probable class anyway; from a half, it takes what is not.
    trial.suggest_float("neutral_threshold", 0.3, 0.45)
