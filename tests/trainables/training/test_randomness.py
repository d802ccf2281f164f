"""Random streams: each its own, and none disturbs the others or the global one."""

from __future__ import annotations

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
    again.state = saved
    assert torch.equal(draw(again, 5), expected)
