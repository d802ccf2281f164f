"""Random streams: each its own, and none disturbs the others or the global one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from trainables.training.randomness import RandomStream

CPU = torch.device("cpu")


def draw(stream: RandomStream, count: int) -> Tensor:
    with stream.active():
        return torch.rand(count)


def test_a_stream_begins_at_its_seed_and_goes_on_where_it_stopped() -> None:
    torch.manual_seed(5)
    unbroken = torch.rand(6)
    stream = RandomStream(5, CPU)
    assert torch.equal(torch.cat([draw(stream, 2), draw(stream, 4)]), unbroken)


def test_streams_do_not_disturb_each_other_or_the_global_one() -> None:
    torch.manual_seed(1)
    expected = torch.rand(4)
    one, other = RandomStream(2, CPU), RandomStream(3, CPU)
    alone = draw(RandomStream(2, CPU), 6)
    torch.manual_seed(1)
    between = torch.rand(2)
    first = draw(one, 3)
    draw(other, 5)
    second = draw(one, 3)
    after = torch.rand(2)
    assert torch.equal(torch.cat([first, second]), alone)
    assert torch.equal(torch.cat([between, after]), expected)


def test_a_stream_goes_on_from_a_saved_state() -> None:
    stream = RandomStream(4, CPU)
    draw(stream, 3)
    saved = [state.clone() for state in stream.state]
    expected = draw(stream, 5)
    again = RandomStream(99, CPU)
    again.load(saved)
    assert torch.equal(draw(again, 5), expected)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> torch.device:
    """A GPU that is not there, whose generator is one byte that `torch.manual_seed` sets."""
    state = [torch.tensor([0], dtype=torch.uint8)]
    seed_all = torch.manual_seed

    def seed(number: int) -> torch.Generator:
        state[0] = torch.tensor([number % 251], dtype=torch.uint8)
        return seed_all(number)

    monkeypatch.setattr(torch, "manual_seed", seed)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda *_: state[0])
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda new, *_: state.__setitem__(0, new))
    return torch.device("cuda")


def test_a_stream_goes_on_from_one_device_to_the_other(gpu: torch.device) -> None:
    on_gpu = RandomStream(4, gpu)
    draw(on_gpu, 3)
    saved = [state.clone() for state in on_gpu.state]
    expected = draw(on_gpu, 5)
    on_cpu = RandomStream(99, CPU)
    on_cpu.load(saved)
    assert torch.equal(draw(on_cpu, 5), expected)
    streams = [RandomStream(seed, gpu) for seed in (1, 2)]
    for stream in streams:
        stream.load(on_cpu.state)
    assert torch.equal(streams[0].state[0], on_cpu.state[0]), "it draws the same samples"
    assert torch.equal(draw(streams[0], 5), draw(streams[1], 5))
    assert torch.equal(streams[0].state[1], streams[1].state[1])
