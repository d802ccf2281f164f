"""One pass of a tower over all samples, which serves every cut that is wanted."""

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
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future

    from torch import Tensor

    from trainables.activations.raw import RawInputs
    from trainables.modules.backbones.tower import Tower
    from trainables.modules.blocks.activations import Activations
    from trainables.modules.blocks.piece import Piece

# What may be computed ahead of what is written, on the host: a batch can be 4 kB or 500 MB.
_AHEAD_BYTES = 256_000_000
_AHEAD_BATCHES = 64  # even an empty one takes its place
# Rows per batch, by device: on a CPU what fits its caches, on a GPU what fills it in below 1 GB.
_HOST = torch.device("cpu")
_ROWS = {
    "text": {"cpu": 64, "cuda": 256},
    "image": {"cpu": 4, "cuda": 64},
    "pair": {"cpu": 4, "cuda": 64},
}


def forward(
    tower: Tower, raw: RawInputs, cuts: list[Cut], device: torch.device
) -> Iterator[tuple[Tensor, dict[Cut, Activations]]]:
    """Run a tower over all samples, batch by batch, several of them at a time.

    Args:
        tower: The backbone.
        raw: Its raw inputs.
        cuts: Where its activations are wanted.
        device: Where it runs.

    Yields:
        Sample indices, shape (B,), int64, and their activations at each cut.

    Raises:
        ActivationError: At the end, if images cannot be read; names them all.
    """
    if not cuts:
        return
    plan = _plan(tower, cuts)
    pieces = on_device([piece for _, _, piece in plan], device)
    steps = [(cut, start, piece) for (cut, start, _), piece in zip(plan, pieces, strict=True)]
    # Batches of like length waste no padding; the rows are stored by index all the same.
    order = torch.arange(len(raw)) if raw.lengths is None else raw.lengths.argsort(stable=True)
    batches = order.split(_ROWS[tower.role]["cpu" if device.type == "cpu" else "cuda"])
    faults: list[str] = []
    # A GPU holds one batch at a time, however many threads decode for it.
    turn = nullcontext() if device.type == "cpu" else Lock()

    def compute(rows: Tensor) -> dict[Cut, Activations]:
        inputs = raw.gather(rows)
        with turn:
            outputs = _run(steps, cuts, inputs.to(device))
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
    """Threads that each compute a batch of their own.

    On a CPU that beats threads that share a batch, which wait for the slowest of them at every
    layer; on a GPU it keeps decoding ahead of the device.

    Args:
        device: Where batches are computed.

    Yields:
        The threads, and how many they are.
    """
    threads = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads) as workers:
            try:
                yield workers, threads
            finally:
                workers.shutdown(cancel_futures=True)  # nobody waits for them after an error
    finally:
        torch.set_num_threads(threads)


def _in_order(
    workers: ThreadPoolExecutor,
    compute: Callable[[Tensor], dict[Cut, Activations]],
    batches: Sequence[Tensor],
    threads: int,
) -> Iterator[tuple[Tensor, Future[dict[Cut, Activations]]]]:
    """Hand out batches ahead of what is read: one per thread, and more while memory allows."""
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
        # After a batch larger than those before it, fewer may wait.
        while len(waiting) > ahead:
            yield waiting.popleft()
    yield from waiting


def _plan(tower: Tower, cuts: list[Cut]) -> list[tuple[Cut, Cut | None, Piece]]:
    """Chain the cuts, deepest frozen part last, so that no layer runs twice over a sample."""
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
    """Let go of what is not wanted: one token's values are a view that would hold all tokens'."""
    values = activations.values
    if values.untyped_storage().nbytes() > values.nbytes:
        return activations._replace(values=values.clone())
    return activations


@torch.inference_mode()
def _run(
    steps: list[tuple[Cut, Cut | None, Piece]], cuts: list[Cut], inputs: Activations
) -> dict[Cut, Activations]:
    places: dict[Cut | None, Activations] = {None: inputs}
    for cut, start, piece in steps:
        places[cut] = piece(places[start])
    return {cut: places[cut]._replace(seen=None) for cut in cuts}
