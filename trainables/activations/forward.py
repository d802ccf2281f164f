"""Run a tower once over all samples and return its activations at every requested cut."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from threading import Lock
from typing import TYPE_CHECKING

import torch

from trainables.activations.files import ActivationError
from trainables.data.images import ImageError
from trainables.modules.blocks.cut import Cut
from trainables.modules.blocks.piece import on_device

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from concurrent.futures import Future

    from torch import Tensor

    from trainables.activations.raw import RawInputs
    from trainables.modules.backbones.tower import Tower
    from trainables.modules.blocks.activations import Activations
    from trainables.modules.blocks.piece import Piece

# Limit on batches computed but not yet written, on the host: a batch can be 4 kB or 500 MB.
_AHEAD_BYTES = 256_000_000
_AHEAD_BATCHES = 64  # each has a fixed overhead, however small
# Rows per batch: on a CPU what fits its caches, on a GPU what saturates it in less than 1 GB.
_HOST = torch.device("cpu")
_ROWS = {
    "text": {"cpu": 64, "cuda": 256},
    "image": {"cpu": 4, "cuda": 64},
    "pair": {"cpu": 4, "cuda": 64},
}


class Prefixes:
    """The frozen parts of a tower up to several cuts, which one pass computes together."""

    def __init__(self, tower: Tower, cuts: Collection[Cut], device: torch.device) -> None:
        self._cuts = sorted(cuts, reverse=True)  # the deepest ends first
        plan = _plan(tower, self._cuts)
        pieces = on_device([piece for _, _, piece in plan], device)
        self._steps = [
            (cut, start, piece) for (cut, start, _), piece in zip(plan, pieces, strict=True)
        ]

    @property
    def pieces(self) -> list[Piece]:
        """The modules that compute them."""
        return [piece for _, _, piece in self._steps]

    @torch.inference_mode()
    def __call__(self, inputs: Activations) -> dict[Cut, Activations]:
        """Run on raw inputs, on the device; return the activations at each cut."""
        return self.traceable(inputs)

    def traceable(self, inputs: Activations) -> dict[Cut, Activations]:
        """Do the same in the grad mode of the caller: an exporter cannot follow inference mode."""
        places: dict[Cut | None, Activations] = {None: inputs}
        for cut, start, piece in self._steps:
            places[cut] = piece(places[start])
        return {cut: places[cut]._replace(encoder_hidden_states=None) for cut in self._cuts}


def forward(
    tower: Tower, raw: RawInputs, cuts: list[Cut], device: torch.device
) -> Iterator[tuple[Tensor, dict[Cut, Activations]]]:
    """Run a tower over all samples, several batches at a time.

    Yields:
        Sample indices, shape (B,), int64, and their activations at each cut.

    Raises:
        ActivationError: After the last batch, if images could not be read; lists them all.
    """
    if not cuts:
        return
    prefixes = Prefixes(tower, cuts, device)
    # Batches of similar lengths need little padding; rows are stored by index in any order.
    order = torch.arange(len(raw)) if raw.lengths is None else raw.lengths.argsort(stable=True)
    batches = order.split(_ROWS[tower.role]["cpu" if device.type == "cpu" else "cuda"])
    faults: list[str] = []
    # One batch at a time on a GPU, however many threads decode images for it.
    turn = nullcontext() if device.type == "cpu" else Lock()

    def compute(rows: Tensor) -> dict[Cut, Activations]:
        inputs = raw.gather(rows)
        with turn:
            outputs = prefixes(inputs.to(device))
            return {cut: _compact(activations.to(_HOST)) for cut, activations in outputs.items()}

    with _workers(device) as (workers, threads):
        for rows, future in _in_order(workers, compute, batches, threads):
            try:
                outputs = future.result()
            except ImageError as error:
                faults.append(str(error))
                continue
            if not faults:
                yield rows, outputs
    if faults:
        msg = "images cannot be read:\n" + "\n".join(faults)
        raise ActivationError(msg)


@contextmanager
def _workers(device: torch.device) -> Iterator[tuple[ThreadPoolExecutor, int]]:
    """Start threads that compute one batch each.

    On a CPU this is faster than several threads per batch, which synchronise at every layer; on a
    GPU it decodes images ahead of the device.

    Yields:
        The executor and its number of threads.
    """
    threads = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads) as workers:
            try:
                yield workers, threads
            finally:
                workers.shutdown(cancel_futures=True)  # after an error, pending batches are moot
    finally:
        torch.set_num_threads(threads)


def _in_order(
    workers: ThreadPoolExecutor,
    compute: Callable[[Tensor], dict[Cut, Activations]],
    batches: Sequence[Tensor],
    threads: int,
) -> Iterator[tuple[Tensor, Future[dict[Cut, Activations]]]]:
    """Submit batches ahead of the consumer: one per thread, more while memory allows."""
    waiting: deque[tuple[Tensor, Future[dict[Cut, Activations]]]] = deque()
    ahead = threads
    for rows in batches:
        waiting.append((rows, workers.submit(compute, rows)))
        if len(waiting) > ahead:
            first, future = waiting.popleft()
            yield first, future
            if future.exception() is None:
                nbytes = sum(a.values.nbytes for a in future.result().values())
                ahead = max(threads, min(_AHEAD_BATCHES, _AHEAD_BYTES // nbytes))
        # After a larger batch, fewer may be pending.
        while len(waiting) > ahead:
            yield waiting.popleft()
    yield from waiting


def _plan(tower: Tower, cuts: list[Cut]) -> list[tuple[Cut, Cut | None, Piece]]:
    """Order the cuts: each segment starts where one before it ends, if it can."""
    chain = [cut for cut in cuts if cut.unfrozen_layers]
    pooled = [cut for cut in cuts if not cut.unfrozen_layers]
    common = max([len(pooled) > 1, *(cut.reach for cut in pooled)])
    if common and len(cuts) > 1 and not (chain and chain[0].unfrozen_layers >= common):
        chain = [Cut(common), *chain]
    steps: list[tuple[Cut, Cut | None, Piece]] = []
    last: Cut | None = None
    for cut in chain:
        steps.append((cut, last, tower.segment(last, cut)))
        last = cut
    for cut in pooled:
        able = (one for one in reversed(chain) if one.unfrozen_layers >= cut.reach)
        start = next(able, None)
        steps.append((cut, start, tower.segment(start, cut)))
    return steps


def _compact(activations: Activations) -> Activations:
    """Copy views: the values of one token would otherwise keep those of all tokens in memory."""
    values = activations.values
    if values.untyped_storage().nbytes() > values.nbytes:
        return activations._replace(values=values.clone())
    return activations
