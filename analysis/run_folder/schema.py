"""The tables of a run: meaning and type of each column."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from analysis.run_folder.folder import FATES
from analysis.run_folder.io import DamageError
from trainables.evaluation.metrics import scores_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from trainables.evaluation.classes import Classes

_FATE = pd.CategoricalDtype(list(FATES))


class Column(NamedTuple):
    """One column.

    Attributes:
        dtype: What it holds, as pandas names it.
        meaning: What it says, with its unit and range.
        needed: Whether a table with a row must have it; older runs lack some.
    """

    dtype: str | pd.CategoricalDtype
    meaning: str
    needed: bool = False


TRIALS: Mapping[str, Column] = {
    "trial": Column("int64", "number of the trial, from 0", needed=True),
    "fate": Column(
        _FATE,
        "how it ended: ran its course, stopped by ASHA, not finite, crashed, cut",
        needed=True,
    ),
    "objective": Column("float64", "the objective at the best epoch", needed=True),
    "best_epoch": Column("Int64", "the epoch, from 1, where the objective was best", needed=True),
    "epochs": Column("Int64", "epochs trained", needed=True),
    "seconds": Column("float64", "wall-clock time since the trial first started", needed=True),
    "peak_memory_mb": Column("float64", "most memory that the trial took, in MB"),
    "retries": Column("Int64", "how often it was started again after a crash"),
    "hand_tuned": Column("boolean", "whether it is the variant's hand-tuned config", needed=True),
    "error": Column("str", "why it failed or diverged, in one line"),
    "note": Column("str", "what else is to be known of it, in one line"),
}
"""Columns of `trials.csv` in their order, one row per ended trial; after them one `config/NAME`
each. All but the number are what the study keeps of an ended trial, by the same names."""


def history_columns(classes: Classes) -> dict[str, Column]:
    """Describe `Run.history`, one row per trial and epoch; `val_X_std` is the spread over folds.

    Returns:
        Its columns.
    """
    return {
        "trial": Column("int64", "number of the trial, from 0", needed=True),
        "epoch": Column("int64", "the epoch, from 1", needed=True),
        "train_loss": Column("float64", "mean training loss of the epoch, over folds"),
        **{
            f"val_{name}": Column("float64", f"{score.meaning}; mean over folds")
            for name, score in scores_of(classes).items()
        },
        "head_learning_rate": Column("float64", "learning rate of the head at the epoch's start"),
        "backbone_learning_rate": Column("float64", "likewise of the unfrozen layers"),
        "epoch_seconds": Column("float64", "time of training and validating the epoch, all folds"),
        "total_parameters": Column("Int64", "parameters of the whole model"),
        "trainable_parameters": Column("Int64", "parameters that train"),
        "peak_memory_mb": Column("float64", "most memory that the trial had taken so far, in MB"),
    }


def probability_columns(classes: Classes) -> dict[str, Column]:
    """Describe `Run.probabilities`, one row per trial and validated sample, at its best epoch.

    Returns:
        Its columns.
    """
    each = {name: f"out-of-fold probability of {name}" for name in classes.names}
    return {
        "trial": Column("int64", "number of the trial, from 0"),
        "row": Column("int64", "index of the labelled sample in `Run.samples`"),
        **{name: Column("float32", meaning) for name, meaning in each.items()},
    }


RUNG_ZERO: Mapping[str, Column] = {
    "loss": Column("float64", "log-loss out of fold in nats, mean over folds", needed=True),
    "objective": Column("float64", "the objective out of fold, mean over folds", needed=True),
    "loss_behind": Column("float64", "log-loss more than the best's, in nats", needed=True),
    "loss_error": Column("float64", "paired standard error of that", needed=True),
    "objective_behind": Column(
        "float64", "how much worse the objective is than the best's", needed=True
    ),
    "objective_error": Column("float64", "paired standard error of that", needed=True),
    "hopeless": Column("bool", "whether it is behind by far more than its errors", needed=True),
}
"""Columns of `Run.rung_zero`, one row per combination; before them one `config/NAME` each."""

IMPORTANCES: Mapping[str, Column] = {
    "parameter": Column("str", "a hyperparameter", needed=True),
    "importance": Column(
        "float64", "its share of what explains the objective, by fANOVA", needed=True
    ),
}
"""Columns of `Run.importances`, one row per hyperparameter, largest first."""


def sample_columns(classes: Classes) -> dict[str, Column]:
    """Describe `Run.samples`, one row per sample, the labelled first; row i is sample i.

    Returns:
        Its columns.
    """
    tag = pd.CategoricalDtype(list(classes.names))
    group = "index of the first sample that it is a duplicate of, or its own"
    return {
        "guid": Column("str", "the sample's name", needed=True),
        "tag": Column(tag, "its class; missing where it is to be predicted", needed=True),
        "text": Column("str", "the text as read", needed=True),
        "image": Column("str", "path of the image when the search ran", needed=True),
        "width": Column("Int64", "width of the image, in pixels"),
        "height": Column("Int64", "height of the image, in pixels"),
        "group": Column("int64", group, needed=True),
    }


def prediction_columns(classes: Classes) -> dict[str, Column]:
    """Describe `Run.predictions`, one row per unlabelled sample, in the order of its list.

    Returns:
        Its columns.
    """
    tag = pd.CategoricalDtype(list(classes.names))
    return {
        "guid": Column("str", "the unlabelled sample's name", needed=True),
        "tag": Column(tag, "the predicted class", needed=True),
    }


def typed(frame: pd.DataFrame, columns: Mapping[str, Column]) -> pd.DataFrame:
    """Give a table its documented types.

    Args:
        frame: The table as read; columns that are not documented stay as they are.
        columns: What is documented.

    Returns:
        The same rows; a documented column that the table lacks is added only if it has no rows.
    """
    if frame.empty:
        frame = frame.reindex(columns=list(dict.fromkeys([*columns, *frame.columns])))
    found = {name: columns[name].dtype for name in frame.columns if name in columns}
    return frame.astype(found)


def checked(path: Path, frame: pd.DataFrame, columns: Mapping[str, Column]) -> pd.DataFrame:
    """Give a table its documented types, as `typed`, after a check that it can have them.

    Args:
        path: Its file, for the message.
        frame: The table as read.
        columns: What is documented.

    Returns:
        As `typed`.

    Raises:
        DamageError: If a needed column is missing, or one cannot have its type.
    """
    needed = (name for name, column in columns.items() if column.needed)
    lacking = [name for name in needed if name not in frame.columns]
    if lacking and not frame.empty:
        raise DamageError(path, f"must have the columns {', '.join(lacking)}, got none such")
    for name in (name for name in frame.columns if name in columns):
        dtype = columns[name].dtype
        if isinstance(dtype, pd.CategoricalDtype):
            cells = frame[name].dropna()
            strange = cells[~cells.isin(dtype.categories)]
            if len(strange):
                allowed = ", ".join(dtype.categories)
                raise DamageError(
                    path, f"must have {name} among {allowed}, got {strange.iloc[0]!r}"
                )
    try:
        return typed(frame, columns)
    except (ValueError, TypeError, OverflowError) as error:
        raise DamageError(path, f"must hold what its columns say, got {error}") from error
