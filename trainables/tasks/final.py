"""The final model: train its members, combine and save them, and predict the test set."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import load, save

from trainables.data.sample import Fold
from trainables.inference.model_folder import Member, save_model
from trainables.modules.backbones.saving import writing
from trainables.training.memory import accumulate_on_oom

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from trainables.evaluation.decision import DecisionRule
    from trainables.tasks.final_member import FinalMember
    from trainables.training.fold import FoldTrainer
    from trainables.worker import Workbench

State = dict[str, torch.Tensor]


def train_member(
    bench: Workbench, params: Mapping[str, Any], rows: NDArray[np.int64], epochs: int, seed: int
) -> bytes:
    """Train a config on some labelled samples for a number of epochs.

    The schedule is the trial's: it still runs over `max_epochs`.

    Args:
        bench: The process's workbench.
        params: The hyperparameters, by name.
        rows: Indices of labelled samples, ascending.
        epochs: Number of epochs, >= 1.
        seed: Of initial weights, dropout and shuffling.

    Returns:
        The classifier's weights in the safetensors format.
    """
    weights: bytes = save(_state(_train(bench, params, rows, epochs, seed)))
    return weights


def validate_joining(
    bench: Workbench,
    params: Mapping[str, Any],
    fold: Fold,
    members: Sequence[NDArray[np.int64]],
    epochs: int,
    seed: int,
) -> dict[str, NDArray[np.float32]]:
    """Train members on parts of a fold's training samples and validate combinations of them.

    Args:
        bench: The process's workbench.
        params: The hyperparameters, by name.
        fold: Its V validation samples are in no member's training samples.
        members: The training samples of each of M members, subsets of `fold.train`.
        epochs: Number of epochs, >= 1.
        seed: The same for all members: weights can only be averaged from equal initial weights.

    Returns:
        Class probabilities of the validation samples, float32: `members`, shape (M, V, C), whose
        mean is the ensemble, and `average`, shape (V, C), of the averaged weights.
    """
    val = torch.from_numpy(fold.val)
    predicted, states = [], []
    for rows in members:
        trainer = _train(bench, params, rows, epochs, seed)
        predicted.append(trainer.predict(val).exp().numpy())
        states.append(_state(trainer))
    trainer.classifier.load_state_dict(mean_of(states))
    return {"members": np.array(predicted), "average": trainer.predict(val).exp().numpy()}


def mean_of(states: Sequence[State]) -> State:
    """Average weights.

    Args:
        states: State dicts with equal names and shapes, at least one.

    Returns:
        The mean of floating-point tensors, and the first one's other tensors.

    Source:
        Wortsman et al., "Model Soups", ICML 2022: the uniform soup.
    """
    first = states[0]
    return {
        name: torch.stack([state[name] for state in states]).mean(0)
        if value.is_floating_point()
        else value
        for name, value in first.items()
    }


def assemble(
    bench: Workbench,
    members: Sequence[FinalMember],
    rule: DecisionRule,
    folder: Path,
) -> dict[str, Any]:
    """Write a model and classify the unlabelled samples with it.

    Args:
        bench: The process's workbench.
        members: At least one; they may be of different configs and kinds.
        rule: How the model decides.
        folder: Where the model is written; replaced when complete.

    Returns:
        `model_parameters` of the largest member, and for the unlabelled samples in their order
        `probabilities` (calibrated, float32, shape (N, C)) and `classes` (int64, shape (N,)).
    """
    corpus = bench.experiment.corpus
    rest = torch.arange(len(corpus.labelled), len(corpus.samples))
    everything = Fold(train=np.arange(len(corpus.labelled)), val=np.arange(0))
    joined, parameters = [], 0
    mean = np.zeros((len(rest), len(corpus.classes)), np.float64)
    for params, weights, share, kind in members:
        is_regression = kind == "regression"
        config = bench.variant.frozen(params) if is_regression else bench.config(params)
        (trainer,) = bench.start(config, [everything], kind=kind).trainers
        trainer.classifier.load_state_dict(mean_of([load(one) for one in weights]))
        if len(rest):
            mean += share * trainer.predict(rest).exp().numpy()
        joined.append(Member(config, trainer.classifier, share, kind))
        parameters = max(parameters, bench.count(trainer.classifier)["total"])
    mean /= sum(member.weight for member in joined)
    rule = replace(rule, precision=bench.precision, frozen_precision=bench.frozen_precision)
    _replace(
        folder,
        lambda path: save_model(
            path, bench.variant, bench.experiment.inputs, bench.towers, joined, rule
        ),
    )
    return {
        "model_parameters": parameters,
        "probabilities": rule.calibrate(mean).astype(np.float32),
        "classes": rule.decide(mean),
    }


def _replace(folder: Path, write: Callable[[Path], None]) -> None:
    """Write a folder atomically, keeping the old one until the new one is complete."""
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with writing(partial):
            write(partial)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)  # frees space on a full disk
        raise
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def _train(
    bench: Workbench, params: Mapping[str, Any], rows: NDArray[np.int64], epochs: int, seed: int
) -> FoldTrainer:
    fold = Fold(train=rows, val=rows[:0])

    def train(steps: int) -> FoldTrainer:
        (trainer,) = bench.start(bench.config(params), [fold], [seed], steps).trainers
        for _ in range(epochs):
            trainer.train_epoch()
        return trainer

    return accumulate_on_oom(train)[0]


def _state(trainer: FoldTrainer) -> State:
    return {
        name: value.detach().cpu().contiguous().clone()
        for name, value in trainer.classifier.state_dict().items()
    }
