"""What the command line asks for; the dataclasses make the flags and `--help`.

Nothing here imports a framework, so that `--help` answers at once.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import tyro
from tyro.conf import FlagCreatePairsOff, UseAppendAction, arg

from search.config.serialization import read_settings, refuse_changes, resumed_run
from spaces import SPACES
from trainables.config import ImagePreparation, Missing, TextCleaning
from trainables.evaluation.metrics import AVERAGE_SCORES

if TYPE_CHECKING:
    from collections.abc import Sequence


ALL = "all"
"""The name of all models."""

AUTO = "auto"
"""The share of a GPU that the first trials show to be enough."""

_METRICS = ", ".join(f"val_{name}" for name in (*reversed(AVERAGE_SCORES), "f1_CLASS", "loss"))


def default_cache() -> Path:
    """Return the default cache in the user's cache folder, which `XDG_CACHE_HOME` may move."""
    user = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(user).expanduser().absolute() / "multimodal-sentiment-search"


def _choice(of: object) -> str:
    return "{" + ",".join(get_args(of)) + "}"


def unset(metavar: str, default: str, name: str | None = None) -> object:
    """Describe a flag whose default is worked out later: `(default: None)` would say nothing.

    Args:
        metavar: Stands for the value in `--help`.
        default: What happens without the flag, in words.
        name: Of the flag, where it is not the field's.

    Returns:
        An annotation for tyro.
    """
    return arg(name=name, metavar=metavar, help_behavior_hint=f"(default: {default})")


ColumnWords = Annotated[
    UseAppendAction[tuple[str, ...]],
    arg(metavar="OURS=THEIRS,...", help_behavior_hint="(default: guid, text, image, tag, split)"),
]
"""The flag that says what lists call their columns."""


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """What to learn from, and how it becomes a model's input."""

    path: Annotated[Path | None, unset("PATH", "data found here, else demo", "data")] = None
    """Folder of train.txt + data/, a table guid,text,image,tag (CSV, JSON, Parquet), or demo."""
    allow_outside: FlagCreatePairsOff[bool] = False
    """Take files outside the folder of the data too, by links, .. and absolute paths."""
    backbone: Annotated[
        UseAppendAction[tuple[str, ...]],
        arg(metavar="ROLE=SOURCE", help_behavior_hint="(repeatable)"),
    ] = ()
    """Weights of a role: a folder, a file, a hub id, or tiny (small and random)."""
    split: Literal["grouped", "stratified", "lab"] = "grouped"
    """How samples part: grouped keeps duplicates together."""
    folds: Annotated[int | Path | None, unset("K|FILE", "the model's, mostly 1")] = None
    """Folds trained side by side; 1 is one split. Or a list guid,fold of given ones."""
    val: Annotated[Path | None, unset("FILE", "drawn, or the column split")] = None
    """List of the pairs to validate on, by guid or in the format of the data."""
    test: Annotated[Path | None, unset("FILE", "the column split")] = None
    """Likewise a labelled test set: held out, and scored once at the end."""
    repeats: Annotated[int, arg(metavar="R")] = 1
    """Times the folds are drawn anew; a trial trains all."""
    tags: Annotated[
        UseAppendAction[tuple[str, ...]],
        arg(metavar="TAG=CLASS,...", help_behavior_hint="(default: tags are classes)"),
    ] = ()
    """Classes by the tags that lists hold, such as 0=negative,1=neutral,2=positive."""
    fallback_class: Annotated[str | None, unset("NAME", "neutral, where that is a class")] = None
    """Class of a pair where no other class is likely enough."""
    columns: ColumnWords = ()
    """Columns that lists call otherwise, such as guid=id,tag=label."""
    encoding: Annotated[str | None, unset("NAME", "found by all texts together")] = None
    """Encoding of texts that are no UTF-8, such as gb18030 or cp1252."""
    missing: Missing = "refuse"
    """allow takes pairs that lack their text or image: an empty text, a grey image."""
    text_cleaning: Annotated[TextCleaning | None, unset(_choice(TextCleaning), "the model's")] = (
        None
    )
    """improved keeps apostrophes; minimal keeps all but RT, mentions and links."""
    text_length: Annotated[int | None, unset("TOKENS", "the model's")] = None
    """Most tokens kept of a text."""
    image_preparation: Annotated[
        ImagePreparation | None, unset(_choice(ImagePreparation), "the model's")
    ] = None
    """basic pads to a white square; improved crops the centre square; imagenet 7/8 of it."""
    image_size: Annotated[int | None, unset("PIXELS", "the checkpoint's")] = None
    """Side of the square."""
    blur_radius: Annotated[float | None, unset("PIXELS", "the model's")] = None
    """Gaussian blur; 0 is none."""


@dataclass(frozen=True, kw_only=True)
class TuningSettings:
    """How trials are drawn, compared and stopped."""

    metric: Annotated[str, arg(metavar="NAME", help=f"Objective: {_METRICS}.")] = "val_weighted_f1"
    epochs: Annotated[int | None, unset("N", "the model's")] = None
    """Epochs of a trial that nothing stops."""
    scheduler: Literal["asha", "none"] = "asha"
    """asha stops the weak early; none runs all in full."""
    grace_epochs: Annotated[int | None, unset("N", "2, at most --epochs")] = None
    """Epochs before ASHA may stop a trial."""
    reduction_factor: Annotated[float, arg(metavar="X")] = 3.0
    """One trial in so many goes on at each rung of ASHA."""
    sampler: Literal["tpe", "random", "cmaes", "gp"] = "tpe"
    """Who draws the trials: an Optuna sampler."""
    rung_zero: bool = True
    """First compare what trials can read, by logistic regression; drop what is hopeless."""
    warm_start: Annotated[
        UseAppendAction[tuple[Path, ...]],
        arg(metavar="RUN", help_behavior_hint="(repeatable)"),
    ] = ()
    """Begin with the best configs of an earlier run of the model."""
    fix: Annotated[
        UseAppendAction[tuple[str, ...]],
        arg(metavar="NAME=VALUE", help_behavior_hint="(repeatable)"),
    ] = ()
    """Hold a hyperparameter."""
    range: Annotated[
        UseAppendAction[tuple[str, ...]],
        arg(metavar="NAME=LOW:HIGH|A,B", help_behavior_hint="(repeatable)"),
    ] = ()
    """Keep a hyperparameter to a part of its range, or draw it from these values."""


@dataclass(frozen=True, kw_only=True)
class SelectionSettings:
    """How the config is chosen in the end, and what ships."""

    confirm: Annotated[int | None, unset("N", "5, at most an eighth of the trials")] = None
    """Best configs trained again on fresh seeds and folds, to choose among; 0 is none."""
    decision: Literal["searched", "tuned", "argmax"] = "searched"
    """The threshold of the fallback class: each trial's own, tuned on other folds, or none."""
    final: Annotated[
        Literal["refit", "average", "folds", "ensemble"] | None,
        unset("{refit,average,folds,ensemble}", "what held-out folds prefer"),
    ] = None
    """What ships: the best config in one model on all data, or its folds' models averaged or side
    by side; or an ensemble of the trials and of rung zero."""
    ensemble_size: Annotated[int | None, unset("N", "8, at most a quarter of the trials")] = None
    """Most members of an ensemble; 0 is none."""
    final_seeds: Annotated[int, arg(metavar="S")] = 1
    """Seeds that the model that ships is averaged over."""
    retrain: bool = True
    """Confirm, train the model that ships on all labelled data, and predict."""

    @property
    def may_join(self) -> bool:
        """Whether an ensemble may ship, if there is one to try."""
        return self.final in {None, "ensemble"} and self.ensemble_size != 0


@dataclass(frozen=True, kw_only=True)
class ResourceSettings:
    """Where and how fast it runs."""

    gpus_per_trial: Annotated[
        float | Literal["auto"] | None, unset("X|auto", "1 where there are GPUs")
    ] = None
    """GPUs of a trial; 0.25 packs four on one; auto as many as the first show room for."""
    cpus_per_trial: Annotated[float | None, unset("X", "1, or the GPU's share")] = None
    """CPUs of a trial."""
    max_concurrent: Annotated[int | None, unset("N", "as many as fit")] = None
    """Most trials at a time."""
    reuse_actors: bool = True
    """Keep worker processes from trial to trial."""
    trial_timeout: Annotated[str | None, unset("TIME", "none")] = None
    """Longest wait for a trial's next epoch, such as 20m; then it is failed as hung."""
    address: Annotated[str | None, unset("HOST:PORT", "RAY_ADDRESS, else local")] = None
    """Ray cluster to join; auto on a machine of it; local starts Ray here, on the loopback."""
    storage: Annotated[str | None, unset("DIR", "RUN/ray")] = None
    """Folder that all nodes share, or a URI such as s3://bucket/path, for Ray's checkpoints."""
    study_storage: Annotated[str | None, unset("URL", "a file in OUT")] = None
    """Database of the Optuna study, as postgresql://USER@HOST/DATABASE, without a password."""
    cache: Annotated[Path | None, unset("DIR", "in the user's cache folder")] = None
    """Folder of frozen activations, on each node."""
    no_cache: FlagCreatePairsOff[bool] = False
    """Compute frozen activations for every batch."""
    cache_dtype: Literal["float16", "float32"] = "float16"
    """How frozen activations are stored."""
    resident: Literal["auto", "device", "host"] = "auto"
    """Where frozen activations live in training."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Of what trains; auto takes what is fast on the GPU, or proves faster on the CPU."""


@dataclass(frozen=True, kw_only=True)
class TrackingSettings:
    """Other people's trackers, beside the run folder."""

    tensorboard: FlagCreatePairsOff[bool] = False
    """Write event files: tensorboard --logdir RUN/ray."""
    mlflow: FlagCreatePairsOff[bool] = False
    """Log to RUN/mlruns, when mlflow is installed."""
    wandb: FlagCreatePairsOff[bool] = False
    """Log to Weights & Biases, when wandb is installed."""


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """One search."""

    model: Annotated[str, arg(metavar="{" + ",".join((*SPACES, ALL)) + "}")]
    """What to tune; all searches each in turn, in OUT/MODEL, and compares them."""
    modality: Literal["both", "text", "image"] = "both"
    """What to read of a pair; of the other nothing is loaded, run or kept."""
    trials: Annotated[int, arg(metavar="N")] = 20
    """Trials in all, the hand-tuned config first."""
    time_budget: Annotated[str | None, unset("TIME", "none")] = None
    """When all is to be done, such as 90s, 20m or 1h30m."""
    out: Annotated[Path | None, unset("DIR", "runs/MODEL-TIME")] = None
    """Folder of the results; new or without a search."""
    resume: Annotated[Path | None, unset("RUN", "a new search")] = None
    """Go on with the search of a run folder: its settings hold, --trials is the wanted total."""
    rerun_lost: FlagCreatePairsOff[bool] = False
    """With --resume: run again the trials that trials.csv has but a damaged study has lost."""
    seed: Annotated[int, arg(metavar="N")] = 0
    """Same seed, same trials (one at a time)."""
    show_space: FlagCreatePairsOff[bool] = False
    """Print the search space and exit."""
    list_backbones: FlagCreatePairsOff[bool] = False
    """Print the families of backbones, a checkpoint of each and its size, and exit."""
    dry_run: FlagCreatePairsOff[bool] = False
    """Check data, weights, space and resources, time one step, say what it takes, and exit."""
    data: DataSettings = field(default_factory=DataSettings)
    tuning: TuningSettings = field(default_factory=TuningSettings)
    selection: SelectionSettings = field(default_factory=SelectionSettings)
    resources: ResourceSettings = field(default_factory=ResourceSettings)
    tracking: TrackingSettings = field(default_factory=TrackingSettings)


def parse(arguments: Sequence[str] | None = None) -> SearchSettings:
    """Read the command line; `--help` and invalid flags end the process.

    Returns:
        The settings; values are not checked yet, except those of a resumed search.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    run = resumed_run(words)
    old = None if run is None else read_settings(SearchSettings, run)
    settings: SearchSettings = tyro.cli(
        SearchSettings,
        prog="python -m search.run",
        description="Search the hyperparameters of an image+text sentiment classifier,"
        " retrain the best and predict.",
        args=words,
        default=tyro.MISSING_NONPROP if old is None else old,
        config=(tyro.conf.OmitArgPrefixes,),
    )
    if old is not None:
        refuse_changes(old, settings)
    return settings
