"""Other people's trackers, on request, through Ray's own callbacks: TensorBoard, MLflow, W&B."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ray.tune import Callback

    from search.plan import Plan

_PROJECT = "multimodal-sentiment-search"


def trackers(plan: Plan) -> list[Callback]:
    """Make the trackers that were asked for.

    Args:
        plan: The search.

    Returns:
        Callbacks; they must come after the one that takes the arrays out of a report.
    """
    settings, found = plan.settings.tracking, []
    if settings.tensorboard:
        from ray.tune.logger import TBXLoggerCallback  # noqa: PLC0415 - on request

        # It would warn that a hyperparameter of several types cannot be a column.
        logging.getLogger("ray.tune.logger.tensorboardx").setLevel(logging.ERROR)
        found.append(TBXLoggerCallback())
    if settings.mlflow:
        from ray.air.integrations.mlflow import MLflowLoggerCallback  # noqa: PLC0415

        place = (plan.folder.path / "mlruns").as_uri()
        found.append(MLflowLoggerCallback(tracking_uri=place, experiment_name=_PROJECT))
    if settings.wandb:
        from ray.air.integrations.wandb import WandbLoggerCallback  # noqa: PLC0415

        found.append(WandbLoggerCallback(project=_PROJECT, group=plan.folder.path.name))
    return found
