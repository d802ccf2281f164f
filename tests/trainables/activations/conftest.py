"""A tiny tower of each role, its raw inputs, and stores to build in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from trainables.activations import forward as forward_module
from trainables.activations.key import make_key
from trainables.activations.raw import raw_inputs
from trainables.activations.store import ActivationStore
from trainables.config import InputSettings
from trainables.modules.backbones.pretrained import load_image_tower, load_text_tower

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from trainables.activations.key import ActivationKey
    from trainables.activations.store import BuildProgress
    from trainables.data.sample import Corpus, Sample
    from trainables.modules.backbones.tower import Tower
    from trainables.modules.blocks.activations import Activations
    from trainables.modules.blocks.cut import Cut

CPU = torch.device("cpu")
INPUTS = InputSettings(image_size=32)


class Bench:
    """One tower and the samples it reads."""

    def __init__(self, tower: Tower, samples: Sequence[Sample], dtype: str = "float32") -> None:
        self.tower, self.samples, self.dtype = tower, samples, dtype
        self.raw = raw_inputs(samples, INPUTS, tower)
        self.rows = torch.arange(len(samples))

    def key(self, cut: Cut) -> ActivationKey:
        return make_key(
            self.tower.role, self.tower.fingerprint, cut, self.samples, INPUTS, self.dtype
        )

    def build(self, folder: Path, *cuts: Cut) -> list[BuildProgress]:
        keys = {cut: self.key(cut) for cut in cuts}
        return list(ActivationStore(folder).build(self.tower, self.raw, keys, CPU))

    def stored(self, folder: Path, cut: Cut) -> Activations:
        return ActivationStore(folder).open(self.key(cut)).gather(self.rows)

    @torch.no_grad()
    def expected(self, cut: Cut) -> Activations:
        activations: Activations = self.tower.prefix(cut)(self.raw.gather(self.rows))
        return activations

    def check(self, folder: Path, cut: Cut) -> None:
        """Hold what is stored against what the prefix makes of the raw inputs."""
        got, wanted = self.stored(folder, cut), self.expected(cut)
        if wanted.mask is None:
            assert got.mask is None
            torch.testing.assert_close(got.values, wanted.values, atol=1e-5, rtol=1e-5)
            return
        assert got.mask is not None
        assert torch.equal(got.mask, wanted.mask)
        real = got.values[got.mask], wanted.values[wanted.mask]
        torch.testing.assert_close(*real, atol=1e-5, rtol=1e-5)


@pytest.fixture(scope="session")
def tiny() -> Mapping[str, Tower]:
    return {"text": load_text_tower("tiny"), "image": load_image_tower("tiny")}


@pytest.fixture
def benches(tiny: Mapping[str, Tower], corpus: Corpus) -> Mapping[str, Bench]:
    return {role: Bench(tower, corpus.samples) for role, tower in tiny.items()}


@pytest.fixture
def forwards(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one for each batch that a build computes."""
    calls: list[int] = []
    run: Callable[..., Any] = forward_module.Prefixes.traceable

    def count(*args: Any) -> Any:
        calls.append(1)
        return run(*args)

    monkeypatch.setattr(forward_module.Prefixes, "traceable", count)
    return calls
