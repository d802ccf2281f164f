"""The Ray trainable: one trial, one epoch per step. The only module here that imports Ray.

The driver imports this module too, so torch waits for the worker: it is imported in `setup`.
"""

from __future__ import annotations

import io
import pickle
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from pyarrow.fs import FileSystem
from ray import tune
from ray.tune.result import SHOULD_CHECKPOINT

from trainables.evaluation.metrics import score_of
from trainables.reach import await_files
from trainables.shares import memory_fraction

if TYPE_CHECKING:
    import torch

    from trainables.experiment import Experiment
    from trainables.training.lockstep import EpochScores, LockstepRun
    from trainables.worker import Workbench

STATE = "state.pt"
RESUME_FROM = "resume_from"
"""The key of a trial's config that names the checkpoint of an earlier attempt to go on from."""

CHECKPOINT_SECONDS = 60.0


class SentimentTrainable(tune.Trainable):  # type: ignore[misc] # Ray is not typed
    """Train one config on all folds, side by side; the process stays warm between trials.

    A diverged trial is a result, not a failure: it reports the worst finite score with its reason
    and ends, so that Ray does not retry it. Ray calls `reset_config` to reuse the process; all
    that a trial changes is rebuilt there.
    """

    def setup(self, config: dict[str, Any], experiment: Experiment) -> None:
        """Start the process's first trial."""
        from trainables.worker import Workbench  # noqa: PLC0415 - keeps torch out of the driver

        self._bench: Workbench = Workbench(experiment, use_assigned_share())
        self._start(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Start another trial in this process; Ray waits forever unless it returns True."""
        self.config = new_config
        self._start(new_config)
        return True

    def _start(self, config: dict[str, Any]) -> None:
        """Only store the config: Ray does not retry an exception here, but one in `step`."""
        self._params = dict(config)
        self._checkpoint: str | None = self._params.pop(RESUME_FROM, None)
        self._run: LockstepRun | None = None
        self._pending: dict[str, Any] | None = None
        self._parameters: dict[str, int] = {}
        self._accumulation_steps = 1
        self._epoch = self._reported = 0  # epoch in training, last one reported
        self._saved_at = time.monotonic()

    def _ensure(self) -> LockstepRun:
        import torch  # noqa: PLC0415 - keeps torch out of the driver

        if self._run is None:
            if self._bench.device.type == "cuda":
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
            config = self._bench.config(self._params)
            steps = self._accumulation_steps
            self._run = self._bench.start(config, accumulation_steps=steps)
            self._parameters = self._bench.count(self._run.trainers[0].classifier)
            if self._pending is None and self._checkpoint is not None:
                self._pending = read_state(self._checkpoint)
            if self._pending is not None:
                self._run.load_state_dict(self._pending)
                self._pending = None
        return self._run

    def step(self) -> dict[str, Any]:
        """Train and score one epoch of all folds; if a file is unreachable, wait for it.

        Returns:
            The report that the searcher, the scheduler and the recorder read.
        """
        while True:
            try:
                return self._step()
            except Exception as error:  # noqa: BLE001 - raised again when no file is missing
                await_files(self._bench.experiment, error)
                self._run = None  # an epoch may have been torn: from the last state, or anew

    def _step(self) -> dict[str, Any]:
        from trainables.training.fold import DivergedError  # noqa: PLC0415 - imports torch
        from trainables.training.memory import (  # noqa: PLC0415 - imports torch
            accumulate_on_oom,
            memory_note,
            peak_memory_mb,
        )

        metric = self._bench.experiment.metric
        try:
            scores, self._accumulation_steps = accumulate_on_oom(
                self._next_epoch, self._accumulation_steps
            )
        except DivergedError as error:
            worst = score_of(metric).worst
            return {**self._report(), metric: worst, "diverged": str(error), "done": True}
        run = self._ensure()
        report = self._report() | scores.metrics
        report["peak_memory_mb"] = peak_memory_mb(self._bench.device)
        batch_size = self._bench.config(self._params).batch_size
        if note := memory_note(self._accumulation_steps, batch_size):
            report["note"] = note
        report["done"] = run.finished
        self._reported = self._epoch
        if scores.is_best:
            report["val_rows"] = scores.rows
            report["val_probabilities"] = scores.probabilities
            if scores.branches:
                report["val_branches"] = scores.branches
        due = time.monotonic() - self._saved_at > CHECKPOINT_SECONDS
        if due and not run.finished and self._reaches_storage():
            report[SHOULD_CHECKPOINT] = True
        return report

    def _report(self) -> dict[str, Any]:
        """The entries that every report has."""
        return {
            "epoch": self._epoch,
            "diverged": "",
            "total_parameters": self._parameters["total"],
            "trainable_parameters": self._parameters["trainable"],
        }

    def _reaches_storage(self) -> bool:
        """Return whether what Ray saves here is kept; on other machines, if shared only."""
        if self._storage is None:  # without Ray
            return True
        try:
            self._storage._check_validation_file()  # Ray's own, as it would fail the trial
        except (RuntimeError, OSError):
            self._saved_at = time.monotonic()  # asked again in a while
            return False
        return True

    def _next_epoch(self, steps: int) -> EpochScores:
        """Train the next epoch; if the number of accumulation steps changed, from the start."""
        # Everything that can run out of memory is in here, including the setup of the trial.
        if steps != self._accumulation_steps:
            self._accumulation_steps, self._run = steps, None
        run = self._ensure()
        self._epoch = max(self._reported, run.epoch) + 1
        while run.epoch < self._epoch - 1:
            run.next_epoch()
        return run.next_epoch()

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write the state of the trial."""
        import torch  # noqa: PLC0415 - keeps torch out of the driver

        from trainables.modules.backbones.saving import writing  # noqa: PLC0415 - imports torch

        path = Path(checkpoint_dir, STATE)
        # A file of Python's, as torch's own hides why the system refused.
        with writing(path), path.open("wb") as file:
            torch.save(self._ensure().state_dict(), file)
        self._saved_at = time.monotonic()

    def load_checkpoint(self, checkpoint_dir: str) -> None:
        """Restore the state of the trial."""
        self._run, self._pending = None, read_state(checkpoint_dir)
        self._reported = 0

    def cleanup(self) -> None:
        """Free what the process holds."""
        self._run = None


def read_state(checkpoint_dir: str) -> dict[str, Any] | None:
    """Read the state of a trial, without executing anything in it.

    Args:
        checkpoint_dir: Where `save_checkpoint` wrote it: a folder, or a URI that pyarrow knows.

    Returns:
        The state; None where a kill left it missing or torn, or another machine has it.
    """
    import torch  # noqa: PLC0415 - keeps torch out of the driver

    try:
        files, folder = FileSystem.from_uri(checkpoint_dir)
        with files.open_input_file(f"{folder}/{STATE}") as file:
            content = io.BytesIO(file.read())
        # CUDA takes random states from the CPU, so everything is loaded there.
        state: dict[str, Any] = torch.load(content, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, ValueError, pickle.UnpicklingError):
        return None
    return state


def use_assigned_share(*, gpu: bool = True) -> torch.device:
    """Limit torch to the CPUs that Ray gave to this work, at least one, and to its share of a GPU.

    Ray sets OMP_NUM_THREADS too, but a process that served other work first keeps that one's. Ray
    does not limit a GPU's memory: without a cap, one trial could take its neighbours'. Nor does it
    hide the GPUs of a machine from work that was given none.

    Args:
        gpu: Whether the work uses its share of a GPU, if it has one.

    Returns:
        Where to compute.
    """
    import torch  # noqa: PLC0415 - keeps torch out of the driver
    from threadpoolctl import threadpool_limits  # noqa: PLC0415 - finds what is loaded by then

    assigned = ray.get_runtime_context().get_assigned_resources()
    threads = max(1, int(assigned.get("CPU", 1)))
    torch.set_num_threads(threads)
    threadpool_limits(threads, "blas")
    share = assigned.get("GPU", 0.0) if gpu else 0.0
    if share <= 0 or not torch.cuda.is_available():
        return torch.device("cpu")
    total = torch.cuda.get_device_properties(0).total_memory / 1e6
    # Of whole GPUs too, as the process may have done work with a smaller share.
    torch.cuda.set_per_process_memory_fraction(memory_fraction(share, total))
    return torch.device("cuda")
