"""The inputs of a model's members: each tower embeds a sample once, whoever reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from trainables.activations.forward import Prefixes
from trainables.activations.raw import ViewFeatures, raw_inputs
from trainables.data.views import VIEWS
from trainables.modules.backbones.cross_attention import tower_for
from trainables.variants.reading import prepared_as

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor

    from trainables.activations.raw import RawInputs
    from trainables.config import InputSettings
    from trainables.data.sample import Sample
    from trainables.modules.backbones.tower import Tower
    from trainables.modules.blocks.activations import Activations
    from trainables.modules.blocks.cut import Cut
    from trainables.variants.reading import Reading

    TowerInputs = tuple[Tower, InputSettings]  # a tower, and how its inputs are prepared

_ROWS = 32


class MemberReads(NamedTuple):
    """What one member of a model reads.

    Attributes:
        towers: The towers, by name. Members that share them are given the same object.
        inputs: How samples are preprocessed where a reading does not say otherwise.
        readings: Its readings, by slot.
        views: The names of its views.
    """

    towers: Mapping[str, Tower]
    inputs: InputSettings
    readings: Mapping[str, Reading]
    views: Sequence[str]


class SharedReadings:
    """Read samples for several members, in one pass per tower and way to prepare its inputs.

    Args:
        members: What each member reads.
        device: Where the towers run.
    """

    def __init__(self, members: Sequence[MemberReads], device: torch.device) -> None:
        self._device = device
        self._views = [member.views for member in members]
        made: dict[tuple[int, str], Tower] = {}  # that of a pair is made of two
        self._slots: list[dict[str, tuple[TowerInputs, Cut]]] = []
        for towers, inputs, readings, _ in members:
            slots = {}
            for slot, read in readings.items():
                place = (id(towers), read.tower)
                if place not in made:
                    made[place] = tower_for(read.tower, towers)
                prepared = (made[place], prepared_as(inputs, read.prepared))
                slots[slot] = (prepared, read.prefix.cut)
            self._slots.append(slots)
        cuts: dict[TowerInputs, set[Cut]] = {}
        for each in self._slots:
            for prepared, cut in each.values():
                cuts.setdefault(prepared, set()).add(cut)
        self._prefixes = {
            prepared: Prefixes(prepared[0], those, device) for prepared, those in cuts.items()
        }

    def batches(
        self, samples: Sequence[Sample]
    ) -> Iterator[tuple[Tensor, list[dict[str, Activations]]]]:
        """Read samples batch by batch.

        Args:
            samples: N >= 1 samples; their labels are ignored.

        Yields:
            Indices of some samples, shape (B,), int64; and for each member what it reads of them,
            on the device, by slot and by view.
        """
        raw = self._raw(samples)
        views = {
            name: ViewFeatures(VIEWS[name], samples, self._device)
            for name in dict.fromkeys(name for each in self._views for name in each)
        }
        for rows in torch.arange(len(samples)).split(_ROWS):
            # Equal raw inputs are one object.
            inputs = {each: each.gather(rows).to(self._device) for each in {*raw.values()}}
            ends = {place: run(inputs[raw[place]]) for place, run in self._prefixes.items()}
            features = {name: view.gather(rows) for name, view in views.items()}
            yield (
                rows,
                [
                    {slot: ends[prepared][cut] for slot, (prepared, cut) in slots.items()}
                    | {name: features[name] for name in names}
                    for slots, names in zip(self._slots, self._views, strict=True)
                ],
            )

    def _raw(self, samples: Sequence[Sample]) -> dict[TowerInputs, RawInputs]:
        """Prepare raw inputs; all image towers share those of the same settings."""
        made: dict[tuple[str | Tower, InputSettings], RawInputs] = {}
        raw = {}
        for tower, inputs in self._prefixes:
            kind = (tower.role if tower.role == "image" else tower, inputs)
            if kind not in made:
                made[kind] = raw_inputs(samples, inputs, tower)
            raw[tower, inputs] = made[kind]
        return raw
