"""Warm workers for the stages after the trials: one per slot, each with its workbench."""

from __future__ import annotations

from collections import Counter, deque
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import ray
from ray._private.state import actors
from ray.exceptions import RayActorError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from search.cluster.resources import RETRIES, fetch
from search.errors import WorkError
from trainables.reach import await_files
from trainables.trainable import use_assigned_share

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from types import TracebackType

    from search.cluster.resources import TrialResources
    from trainables.experiment import Experiment
    from trainables.worker import Workbench

_SECONDS_BETWEEN_LOOKS = 15.0


class Job(NamedTuple):
    """One piece of work.

    Attributes:
        method: A method of `Worker`.
        arguments: Its arguments, by name.
    """

    method: str
    arguments: dict[str, Any]


class Crew:
    """Runs jobs on as many workers as trials ran at a time.

    Args:
        experiment: What the search held fixed.
        resources: What one worker gets, and how many there are.

    Attributes:
        home: Ray's id of this machine, where the run folder is.
    """

    def __init__(self, experiment: Experiment, resources: TrialResources) -> None:
        self._held = ray.put(experiment)
        self._resources = resources
        self._workers: list[Any] = []
        self.home: str = ray.get_runtime_context().get_node_id()

    def run(self, jobs: Sequence[Job]) -> Generator[tuple[int, Any], None, None]:
        """Run jobs side by side.

        Args:
            jobs: What is to be done.

        Yields:
            The index of a job and its result, as they end; the result of one that crashed for
            good is a `WorkError`. Input found wrong, as bad weights, raises a `ClusterError`. Who
            wants no more results closes the iterator: what is still running then ends.
        """
        busy: dict[Any, tuple[int, Any]] = {}
        try:
            yield from self._run(jobs, busy)
        finally:
            for _, worker in busy.values():
                self._replaced(worker)

    def _run(
        self, jobs: Sequence[Job], busy: dict[Any, tuple[int, Any]]
    ) -> Generator[tuple[int, Any], None, None]:
        waiting, lost = deque(enumerate(jobs)), Counter[int]()
        idle = [self._worker(k) for k in range(min(self._resources.slots, len(jobs)))]
        while waiting or busy:
            while waiting and idle:
                index, job = waiting.popleft()
                worker = idle.pop(0)
                busy[self._begin(worker, job)] = index, worker
            found, _ = ray.wait(list(busy), num_returns=1, timeout=_SECONDS_BETWEEN_LOOKS)
            if not found:
                waiting += self._taken_from_lost_nodes(busy, jobs, able=bool(idle))
                continue
            (ended,) = found
            index, worker = busy.pop(ended)
            result = _result(ended)
            if _is_lost(result) and lost[index] < RETRIES:
                lost[index] += 1
                waiting.appendleft((index, jobs[index]))
                idle.append(self._replaced(worker))
                continue
            idle.append(worker)
            yield index, result

    def _taken_from_lost_nodes(
        self, busy: dict[Any, tuple[int, Any]], jobs: Sequence[Job], *, able: bool
    ) -> list[tuple[int, Job]]:
        """Take the jobs of workers for which there is no room any more, if others can do them."""
        on_lost_node = [ended for ended, (_, worker) in busy.items() if not _has_a_place(worker)]
        if not able and len(on_lost_node) == len(busy):
            return []
        taken = [busy.pop(ended) for ended in on_lost_node]
        for _, worker in taken:
            self._workers.remove(worker)
            ray.kill(worker)
        return [(index, jobs[index]) for index, _ in taken]

    def here(self, job: Job) -> Any:
        """Run one job on the worker that is on this machine, if one fits there.

        Args:
            job: What is to be done.

        Returns:
            Its result; what went wrong raises.
        """
        return in_order(self.run([job]))[0]

    def _begin(self, worker: Any, job: Job) -> Any:
        return worker.do.remote(self._held, job.method, job.arguments)

    def _worker(self, number: int) -> Any:
        if number == len(self._workers):
            self._workers.append(self._made(number))
        return self._workers[number]

    def _made(self, number: int) -> Any:
        place = None
        if number == 0:  # what is written goes where the run folder is
            place = NodeAffinitySchedulingStrategy(self.home, soft=True)
        return _Remote.options(
            num_cpus=self._resources.cpus,
            num_gpus=self._resources.gpus,
            scheduling_strategy=place,
        ).remote()

    def _replaced(self, worker: Any) -> Any:
        number = self._workers.index(worker)
        ray.kill(worker)
        self._workers[number] = self._made(number)
        return self._workers[number]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for worker in self._workers:
            ray.kill(worker)


def _result(reference: Any) -> Any:
    try:
        return fetch(reference)
    except WorkError as error:
        return error


def _has_a_place(worker: Any) -> bool:
    """Tell whether a worker is on a machine, or waits for one that may never come."""
    return bool(actors(worker._actor_id.hex())["State"] == "ALIVE")


def _is_lost(result: Any) -> bool:
    """Tell work whose worker was killed, or whose machine was."""
    return isinstance(getattr(result, "__cause__", None), RayActorError)


def in_order(results: Generator[tuple[int, Any], None, None]) -> list[Any]:
    """Collect results that are all needed.

    Args:
        results: As `Crew.run` gives them.

    Returns:
        The results, in the order of their jobs; the first `WorkError` raises at once, and the
        others are not waited for.
    """
    found = {}
    with closing(results):
        for index, result in results:
            if isinstance(result, WorkError):
                raise result
            found[index] = result
    return [found[index] for index in sorted(found)]


class Worker:
    """Does the work of the stages; torch is imported here and nowhere in the driver."""

    _bench: Workbench

    def do(self, experiment: Experiment, method: str, arguments: dict[str, Any]) -> Any:
        """Do one job.

        Args:
            experiment: What the search held fixed; the same for every job, and looked at once. It
                comes with the job, since a worker that crashed is made anew without arguments.
            method: A method of this class.
            arguments: Its arguments, by name.

        Returns:
            Its result.
        """
        from trainables.worker import Workbench  # noqa: PLC0415 - see above

        if not hasattr(self, "_bench"):
            self._bench = Workbench(experiment, use_assigned_share())
        while True:
            try:
                return getattr(self, method)(**arguments)
            except Exception as error:  # noqa: BLE001 - raised again when no file is missing
                await_files(experiment, error)

    def train_fold(self, **arguments: Any) -> dict[str, Any]:
        """Train a config on a fold: see `trainables.tasks.confirmation`."""
        from trainables.tasks.confirmation import train_fold  # noqa: PLC0415 - as above

        return train_fold(self._bench, **arguments)

    def regress_fold(self, **arguments: Any) -> Any:
        """Fit the floor on a fold: see `trainables.tasks.baseline`."""
        from trainables.tasks.baseline import regress_fold  # noqa: PLC0415 - as above

        return regress_fold(self._bench, **arguments)

    def validate_joining(self, **arguments: Any) -> dict[str, Any]:
        """Validate ways to join fold models: see `trainables.tasks.final`."""
        from trainables.tasks.final import validate_joining  # noqa: PLC0415 - as above

        return validate_joining(self._bench, **arguments)

    def train_member(self, **arguments: Any) -> bytes:
        """Train a part of the model that ships: see `trainables.tasks.final`."""
        from trainables.tasks.final import train_member  # noqa: PLC0415 - as above

        return train_member(self._bench, **arguments)

    def assemble(self, **arguments: Any) -> dict[str, Any]:
        """Write the model that ships (away from home, give its `files`)."""
        from trainables.tasks.final import assemble  # noqa: PLC0415 - as above

        home, folder = arguments.pop("home"), arguments.pop("folder")
        if ray.get_runtime_context().get_node_id() == home:
            return assemble(self._bench, folder=folder, **arguments)
        with TemporaryDirectory() as away:
            model = Path(away, folder.name)
            written = assemble(self._bench, folder=model, **arguments)
            files = [path for path in model.rglob("*") if path.is_file()]
            return written | {
                "files": {str(path.relative_to(model)): path.read_bytes() for path in files}
            }


_Remote: Any = ray.remote(Worker)  # Ray makes none anew: it counts by worker, we by job
