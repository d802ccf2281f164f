"""Trials side by side on one GPU, as Ray would run them but without it.

Each is a process of its own that may take its share of the GPU's memory. The processes are started
once, as importing what they need takes seconds, and hold no GPU until they are told to train.
"""

from __future__ import annotations

import gc
import multiprocessing
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import torch

from tests.benchmarks.pace import synchronize
from tests.benchmarks.reporting import cores
from trainables.shares import memory_fraction
from trainables.training.memory import peak_memory_mb

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from pathlib import Path

    from tests.benchmarks.whole_trial import Trial

_BATCHES = 8  # between two looks at the clock


class Order(NamedTuple):
    """What a process is to train.

    Attributes:
        trial: A file with a `Trial`.
        share: Of the GPU and of the cores, in (0, 1].
        seconds: How long.
    """

    trial: Path
    share: float
    seconds: float


class Trained(NamedTuple):
    """What a process did.

    Attributes:
        samples: That it trained on.
        seconds: That this took.
        peak_mb: Its peak memory.
    """

    samples: int
    seconds: float
    peak_mb: float


class Worker:
    """A process that trains when it is told to.

    Args:
        device: Where it trains.
        patience: Seconds to wait for an answer.
    """

    def __init__(self, device: torch.device, patience: float) -> None:
        self._patience = patience
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, str(device)), daemon=True)
        self._process.start()
        theirs.close()

    def send(self, message: Order | None) -> None:
        """Send a message, unless the process has died."""
        with suppress(OSError):
            self._pipe.send(message)

    def receive(self) -> Any:
        """Wait for the answer; words say what went wrong."""
        try:
            if self._pipe.poll(self._patience):
                return self._pipe.recv()
        except (EOFError, OSError):
            return "its process died"
        self.end()  # else the answer would be taken for that to a later order
        return f"no answer in {self._patience:g} s"

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()


class Crew:
    """Several workers.

    Args:
        size: How many.
        device: Where they train.
        patience: Seconds to wait for an answer of one.
    """

    def __init__(self, size: int, device: torch.device, patience: float = 40.0) -> None:
        self._workers = [Worker(device, patience) for _ in range(size)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.end()

    def train(self, trial: Path, count: int, seconds: float) -> list[Trained]:
        """Train as many trials side by side, all of them from the same moment on.

        Args:
            trial: A file with a `Trial`.
            count: How many.
            seconds: How long.

        Returns:
            What each did.

        Raises:
            RuntimeError: If one fails; says why.
        """
        working = self._workers[:count]
        for worker in working:
            worker.send(Order(trial, 1 / count, seconds))
        ready = [worker.receive() for worker in working]
        able = [w for w, said in zip(working, ready, strict=True) if not isinstance(said, str)]
        for worker in able:
            worker.send(None)
        did = [worker.receive() for worker in able]
        if faults := [said for said in (*ready, *did) if isinstance(said, str)]:
            raise RuntimeError(faults[0])
        return did


def serve(pipe: Connection, device: str) -> None:
    """Train what is ordered, in a process of its own, until that is ended.

    Args:
        pipe: Brings `Order`s; for each, something is sent when all is ready, and `Trained` in
            answer to the next message. What goes wrong is sent as words instead.
        device: Where to train.
    """
    while True:
        try:
            order: Order = pipe.recv()
        except EOFError:
            return
        try:
            _train(order, pipe, torch.device(device))
        except Exception as error:  # noqa: BLE001 - told to who ordered
            pipe.send(f"{type(error).__name__}: {error}".splitlines()[0])
        gc.collect()
        torch.cuda.empty_cache()


def _train(order: Order, pipe: Connection, device: torch.device) -> None:
    torch.set_num_threads(max(1, int(cores() * order.share)))
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(0).total_memory / 1e6
        torch.cuda.set_per_process_memory_fraction(memory_fraction(order.share, total))
        torch.cuda.reset_peak_memory_stats()
    trial: Trial = torch.load(order.trial, weights_only=False)
    fold = trial.fold(0, train=min(_BATCHES * trial.config.batch_size, trial.samples // 2))
    (trainer,) = trial.run(trial.data(device, "auto"), [fold]).trainers
    trainer.train_epoch()  # warm-up
    synchronize()
    pipe.send(order)
    pipe.recv()
    began, samples = time.perf_counter(), 0
    while time.perf_counter() - began < order.seconds:
        trainer.train_epoch()  # gives its loss, and so waits for the device
        samples += len(fold.train)
    pipe.send(Trained(samples, time.perf_counter() - began, peak_memory_mb(device)))
