"""The work before and after the trials, as Ray tasks on a workbench that each process keeps.

The driver imports this module too, so torch waits for the worker: it is imported by the functions.
"""

from __future__ import annotations

import time
from collections import deque
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from search.cluster.resources import RETRIES, alive, fetch
from search.errors import WorkError
from trainables.reach import await_files
from trainables.trainable import use_assigned_share

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from search.cluster.resources import TrialResources
    from trainables.experiment import Experiment
    from trainables.worker import Workbench


_SECONDS_TO_START = 5.0
_CANCELLATIONS = 30  # a second apart


class Task(NamedTuple):
    """A function to run with a workbench and arguments by name, which are pickled.

    Attributes:
        on_gpu: Whether it computes on the GPU that it is given, if any. The process outlives it,
            and would keep some of the memory from trials that begin afterwards.
    """

    function: Callable[..., Any]
    arguments: dict[str, Any]
    on_gpu: bool = True


class TaskRunner:
    """Runs tasks on the cluster, as many at a time as trials ran.

    It begins with one process, which may be warm, and takes the others when the work has lasted as
    long as a process takes to start: for less they would not pay, and trials find them ready.

    Args:
        experiment: What the search held fixed.
        resources: What one task gets, and how many run at a time.

    Attributes:
        home: Ray's id of this machine, where the run folder is.
    """

    def __init__(self, experiment: Experiment, resources: TrialResources) -> None:
        # In a list, since Ray would hand an argument's value to every task, and not its reference.
        self._experiment = experiment.identity, [ray.put(experiment)]
        self._slots, self._room = resources.slots, 1
        self.home: str = ray.get_runtime_context().get_node_id()
        # Ray gives a process to task after task, which may not be given the same GPU, while CUDA
        # stays on the first: where there are several, each task has a process of its own.
        alone = resources.gpus > 0 and max(node.gpus for node in alive()) > 1
        self._remote = ray.remote(
            num_cpus=resources.cpus,
            num_gpus=resources.gpus,
            max_retries=RETRIES,
            max_calls=int(alone),
        )(_run)

    def run(
        self, tasks: Sequence[Task], *, here: bool = False
    ) -> Generator[tuple[int, Any], None, None]:
        """Run tasks side by side; on this machine if `here` and they fit there at all.

        Yields:
            The index of a task and its result, as they end; the result of one that crashed for
            good is a `WorkError`. Wrong input, such as bad weights, raises a `ClusterError`. If
            the iterator is closed early, what is still running is cancelled.
        """
        waiting, running = deque(enumerate(tasks)), dict[Any, int]()
        grows_at = time.monotonic() + _SECONDS_TO_START
        try:
            while waiting or running:
                while waiting and len(running) < self._room:
                    index, task = waiting.popleft()
                    running[self._submit(task, here=here)] = index
                left = max(0.0, grows_at - time.monotonic())
                patience = left if waiting and self._room < self._slots else None
                ended, _ = ray.wait(list(running), num_returns=1, timeout=patience)
                if not left:
                    self._room = self._slots
                for one in ended:
                    yield running.pop(one), _result(one)
        finally:
            _cancel(list(running))

    def _submit(self, task: Task, *, here: bool) -> Any:
        place = NodeAffinitySchedulingStrategy(self.home, soft=True) if here else "DEFAULT"
        remote = self._remote.options(name=task.function.__name__, scheduling_strategy=place)
        return remote.remote(task, self._experiment)

    def here(self, task: Task) -> Any:
        """Run one task on this machine, if it fits there, else on another; its error raises."""
        return in_order(self.run([task], here=True))[0]


def _cancel(references: list[Any]) -> None:
    # Ray may lose the request to cancel a task that is on its way to a process, and the task would
    # keep its share of the machine: it is asked again until the tasks have ended.
    for _ in range(_CANCELLATIONS):
        if not references:
            return
        for reference in references:
            ray.cancel(reference, force=True)
        _, references = ray.wait(references, num_returns=len(references), timeout=1.0)


def _result(reference: Any) -> Any:
    try:
        return fetch(reference)
    except WorkError as error:
        return error


def in_order(results: Generator[tuple[int, Any], None, None]) -> list[Any]:
    """Collect the results of `TaskRunner.run`, all of which are needed, in the order of the tasks.

    The first `WorkError` raises at once, and the others are not waited for.

    Returns:
        The results.
    """
    found = {}
    with closing(results):
        for index, result in results:
            if isinstance(result, WorkError):
                raise result
            found[index] = result
    return [found[index] for index in sorted(found)]


def _run(task: Task, experiment: tuple[str, list[Any]]) -> Any:
    """Run one task in a worker process."""
    from trainables.worker import kept_workbench  # noqa: PLC0415 - keeps torch out of the driver

    identity, (held,) = experiment
    device = use_assigned_share(gpu=task.on_gpu)
    bench = kept_workbench(identity, device, lambda: ray.get(held))
    while True:
        try:
            return task.function(bench, **task.arguments)
        except Exception as error:  # noqa: BLE001 - raised again when no file is missing
            await_files(bench.experiment, error)


def train_fold(bench: Workbench, **arguments: Any) -> dict[str, Any]:
    """Train a config on a fold: see `trainables.tasks.confirmation`."""
    from trainables.tasks import confirmation  # noqa: PLC0415 - as above

    return confirmation.train_fold(bench, **arguments)


def regress_fold(bench: Workbench, **arguments: Any) -> Any:
    """Fit the baseline on a fold: see `trainables.tasks.baseline`."""
    from trainables.tasks import baseline  # noqa: PLC0415 - as above

    return baseline.regress_fold(bench, **arguments)


def fit_regression(bench: Workbench, **arguments: Any) -> bytes:
    """Fit a regression of the final model: see `trainables.tasks.baseline`."""
    from trainables.tasks import baseline  # noqa: PLC0415 - as above

    return baseline.fit_regression(bench, **arguments)


def validate_joining(bench: Workbench, **arguments: Any) -> dict[str, Any]:
    """Validate ways to join fold models: see `trainables.tasks.final`."""
    from trainables.tasks import final  # noqa: PLC0415 - as above

    return final.validate_joining(bench, **arguments)


def train_member(bench: Workbench, **arguments: Any) -> bytes:
    """Train a part of the final model: see `trainables.tasks.final`."""
    from trainables.tasks import final  # noqa: PLC0415 - as above

    return final.train_member(bench, **arguments)


def assemble(bench: Workbench, *, home: str, folder: Path, **arguments: Any) -> dict[str, Any]:
    """Write the final model: see `trainables.tasks.final`; away from `home`, give its `files`."""
    from trainables.tasks import final  # noqa: PLC0415 - as above

    if ray.get_runtime_context().get_node_id() == home:
        return final.assemble(bench, folder=folder, **arguments)
    with TemporaryDirectory() as away:
        model = Path(away, folder.name)
        written = final.assemble(bench, folder=model, **arguments)
        files = [path for path in model.rglob("*") if path.is_file()]
        return written | {
            "files": {str(path.relative_to(model)): path.read_bytes() for path in files}
        }
