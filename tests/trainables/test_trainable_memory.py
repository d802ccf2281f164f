"""Steps that do not fit a GPU's memory, which is scripted here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from tests.trainables.conftest import PARAMS
from trainables.evaluation.classes import SENTIMENTS
from trainables.evaluation.metrics import scores_of
from trainables.modules.heads.classifier import Classifier
from trainables.worker import Workbench

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainables.trainable import SentimentTrainable


class SmallMemory:
    """A GPU that holds so many samples of a training step."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
        self.most, self.seen = most, list[int]()
        forward = Classifier.branches

        def branches(classifier: Classifier, batch: Any) -> Any:
            logits = forward(classifier, batch)
            (rows,) = {len(value) for value in logits.values()}
            if classifier.training:
                self.seen.append(rows)
                if rows > self.most:
                    msg = "CUDA out of memory"
                    raise torch.OutOfMemoryError(msg)
            return logits

        monkeypatch.setattr(Classifier, "branches", branches)


@pytest.mark.slow
def test_a_step_that_does_not_fit_the_memory_is_computed_in_two_parts(
    start: Callable[..., SentimentTrainable], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Dropout, which text blocks have too, draws other noise for other parts.
    exact = PARAMS | {"head_dropout": 0.0, "text_unfrozen_layers": 0}
    expected = start(exact).step()
    memory = SmallMemory(monkeypatch, most=4)
    trial = start(exact)
    report = trial.step()
    assert memory.seen[0] == 8
    assert set(memory.seen[1:]) == {4}
    for name in (f"val_{name}" for name in scores_of(SENTIMENTS)):
        assert report[name] == pytest.approx(expected[name], abs=1e-3)  # Adam magnifies noise
    assert report["train_loss"] == pytest.approx(expected["train_loss"], abs=1e-3)
    assert report["note"] == (
        "out of GPU memory with 8 samples at a time: each step was computed in 2 parts"
    )
    memory.seen.clear()
    assert trial.step()["epoch"] == 2
    assert set(memory.seen) == {4}, "it does not try again what failed"
    trial.reset_config(dict(exact))
    memory.most = 8
    assert "note" not in trial.step(), "the next trial begins with whole batches"


@pytest.mark.slow
def test_memory_that_ends_in_a_later_epoch_costs_no_epoch(
    start: Callable[..., SentimentTrainable], monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = PARAMS | {"head_dropout": 0.0}
    reference = start(exact)
    expected = [reference.step() for _ in range(3)][-1]
    memory = SmallMemory(monkeypatch, most=8)
    trial = start(exact)
    assert [trial.step()["epoch"] for _ in range(2)] == [1, 2]
    memory.most = 4
    report = trial.step()
    assert report["epoch"] == 3
    assert report["train_loss"] == pytest.approx(expected["train_loss"], abs=5e-3)
    assert trial._ensure().epoch == 3


@pytest.mark.slow
def test_a_trial_that_cannot_be_set_up_whole_is_set_up_with_halves(
    start: Callable[..., SentimentTrainable], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up, asked = Workbench.start, list[int]()

    def crowded(bench: Workbench, config: Any, **more: Any) -> Any:
        asked.append(more["accumulation_steps"])
        if more["accumulation_steps"] == 1:
            msg = "CUDA out of memory"
            raise torch.OutOfMemoryError(msg)
        return set_up(bench, config, **more)

    monkeypatch.setattr(Workbench, "start", crowded)
    report = start(PARAMS).step()
    assert asked == [1, 2]
    assert report["epoch"] == 1
    assert "in 2 parts" in report["note"]


@pytest.mark.slow
def test_halves_that_do_not_fit_either_are_an_error(
    start: Callable[..., SentimentTrainable], monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = SmallMemory(monkeypatch, most=3)
    with pytest.raises(torch.OutOfMemoryError):
        start(PARAMS).step()
    assert memory.seen == [8, 4]


def test_a_trial_on_a_gpu_begins_with_what_others_left_given_back(
    start: Callable[..., SentimentTrainable], monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    for name in ("empty_cache", "reset_peak_memory_stats"):
        monkeypatch.setattr(torch.cuda, name, lambda name=name: done.append(name))
    trial = start(PARAMS)
    real = trial._bench.start

    def begin(*arguments: Any, **more: Any) -> Any:
        done.append("start")
        return real(*arguments, **more)

    monkeypatch.setattr(trial._bench, "start", begin)
    trial.step()
    assert done == ["start"]
    trial.reset_config(dict(PARAMS))
    # The stand-in for a GPU computes nothing: its trial ends as it begins.
    monkeypatch.setattr(trial._bench, "start", lambda *_, **__: pytest.fail(f"{done}"))
    monkeypatch.setattr(trial._bench, "device", torch.device("cuda"))
    with pytest.raises(pytest.fail.Exception, match=r"start.*cache.*reset_peak"):
        trial._ensure()
