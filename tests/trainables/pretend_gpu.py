"""A GPU that is not there: tensors that say they lie on it are computed by the CPU.

An operation that mixes them with tensors on the host, as no GPU allows, is an error. So is one
that needs the values on the host and does not fetch them.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from trainables.activations import forward
from trainables.training.fold import FoldTrainer

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

GPU, HOST = torch.device("cuda", 0), torch.device("cpu")
# What may read tensors on both: copies, and an index on the host of values on the GPU.
_CROSSING = {"_to_copy", "copy_", "index", "index_put_", "_index_put_impl_"}


class OnGpu(torch.Tensor):
    """A tensor on the GPU; `inner` has its values."""

    inner: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls: type[OnGpu], inner: torch.Tensor) -> OnGpu:
        made: OnGpu = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=HOST,
        )
        made.inner = inner
        return made

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return GPU

    def cpu(self) -> torch.Tensor:  # type: ignore[override]
        return self.to(HOST)

    def to(self, *arguments: Any, **more: Any) -> torch.Tensor:
        wanted = [*arguments, *more.values()]
        device = next((each for each in wanted if isinstance(each, torch.device)), GPU)
        dtype = next((each for each in wanted if isinstance(each, torch.dtype)), self.dtype)
        if (device.type, dtype) == (GPU.type, self.dtype):
            return self
        moved: torch.Tensor = torch.ops.aten._to_copy(self, dtype=dtype, device=device)
        return moved

    def numpy(self) -> Any:  # type: ignore[override]
        msg = "a tensor on a GPU must be copied to the host first"
        raise TypeError(msg)

    @classmethod
    def __torch_dispatch__(
        cls, function: Any, types: Any, arguments: Any = (), more: Any = None
    ) -> Any:
        return compute(function, arguments, more or {})


class PretendGpu(TorchDispatchMode):
    """Lets operations see the GPU while it is active, in the thread that made it so."""

    def __torch_dispatch__(
        self, function: Any, types: Any, arguments: Any = (), more: Any = None
    ) -> Any:
        return compute(function, arguments, more or {})


def compute(function: Any, arguments: Any, more: dict[str, Any]) -> Any:
    """Run an operation of PyTorch; what it gives lies where the operation would leave it."""
    name = function.__name__.split(".")[0]
    read = [each for each in tree_leaves((arguments, more)) if isinstance(each, torch.Tensor)]
    there = {id(each.inner): each for each in read if isinstance(each, OnGpu)}
    here = [each for each in read if not isinstance(each, OnGpu) and each.dim()]
    lone_index = name == "index" and not isinstance(arguments[0], OnGpu)
    if there and here and (name not in _CROSSING or lone_index):
        msg = (
            f"{function} must read tensors of one device, got some on the GPU and some on the host"
        )
        raise RuntimeError(msg)
    device = more.get("device")
    stays = bool(there) if device is None else torch.device(device).type == GPU.type
    if there and (name.startswith("new_") or name.endswith("_like")):
        stays = True
    if name == "copy_":
        stays = isinstance(arguments[0], OnGpu)
    arguments, more = tree_map(
        lambda each: each.inner if isinstance(each, OnGpu) else each, (arguments, more)
    )
    found = function(*arguments, **more | ({} if device is None else {"device": HOST}))

    def placed(each: Any) -> Any:
        if not isinstance(each, torch.Tensor):
            return each
        if id(each) in there:  # changed in place
            return there[id(each)]
        return OnGpu(each) if stays else each

    return tree_map(placed, found)


class _Threads(ThreadPoolExecutor):
    """Threads that see the GPU too."""

    def submit(self, work: Callable[..., Any], /, *arguments: Any, **more: Any) -> Any:
        def seeing(*arguments: Any, **more: Any) -> Any:
            with PretendGpu():
                return work(*arguments, **more)

        return super().submit(seeing, *arguments, **more)


def install(patch: pytest.MonkeyPatch, total: int = 10**9) -> None:
    """Let PyTorch say what it says of a GPU with as much memory, all of it free."""
    make = torch.tensor

    def tensor(values: Any, *, device: Any = None, **more: Any) -> torch.Tensor:
        made = make(values, **more)
        return made if device is None else made.to(device)

    state = torch.zeros(16, dtype=torch.uint8)
    for name, said in {
        "_lazy_init": lambda: None,
        "get_rng_state": lambda *_: state,
        "set_rng_state": lambda *_: None,
        "mem_get_info": lambda _: (total, total),
        "get_per_process_memory_fraction": lambda _: 1.0,
        "memory_reserved": lambda _: 0,
        "memory_allocated": lambda _: 0,
    }.items():
        patch.setattr(torch.cuda, name, said)
    patch.setattr(torch, "tensor", tensor)
    patch.setattr(forward, "ThreadPoolExecutor", _Threads)
    patch.setattr("trainables.worker.precision_of", lambda _: "float32")
    # Views of these tensors cannot be taken in inference mode.
    classify: Any = FoldTrainer._classify
    patch.setattr(FoldTrainer, "_classify", torch.no_grad()(classify.__wrapped__))
    patch.setattr(torch.__future__, "get_overwrite_module_params_on_conversion", lambda: True)
