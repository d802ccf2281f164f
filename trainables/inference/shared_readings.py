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
    from trainables.modules.blocks.piece import Piece
    from trainables.variants.reading import Reading


TowerInputs = tuple[str, "InputSettings"]
"""A tower's name, and how its inputs are prepared."""

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

    Attributes:
        towers: The towers that are read, by name; that of a pair is made of the other two. Where
            members do not share theirs, names are made distinct: `text/2`.
        prefixes: Their frozen parts, by tower and by how its inputs are prepared.
        views: The names of all views that are read.
    """

    def __init__(self, members: Sequence[MemberReads], device: torch.device) -> None:
        self._device = device
        self._views_of_members = [member.views for member in members]
        self.views = list(dict.fromkeys(name for each in members for name in each.views))
        self.towers: dict[str, Tower] = {}
        self._slots: list[dict[str, tuple[TowerInputs, Cut]]] = []
        sets = list({id(member.towers): None for member in members})
        for towers, inputs, readings, _ in members:
            slots = {}
            for slot, read in readings.items():
                name = _distinct(read.tower, sets.index(id(towers)))
                if name not in self.towers:
                    self.towers[name] = tower_for(read.tower, towers)
                slots[slot] = ((name, prepared_as(inputs, read.prepared)), read.prefix.cut)
            self._slots.append(slots)
        cuts: dict[TowerInputs, set[Cut]] = {}
        for each in self._slots:
            for prepared, cut in each.values():
                cuts.setdefault(prepared, set()).add(cut)
        self.prefixes: Mapping[TowerInputs, Prefixes] = {
            prepared: Prefixes(self.towers[prepared[0]], those, device)
            for prepared, those in cuts.items()
        }

    @property
    def pieces(self) -> list[Piece]:
        """The modules of the frozen parts."""
        return [piece for prefixes in self.prefixes.values() for piece in prefixes.pieces]

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
        views = {name: ViewFeatures(VIEWS[name], samples, self._device) for name in self.views}
        for rows in torch.arange(len(samples)).split(_ROWS):
            # Equal raw inputs are one object.
            inputs = {each: each.gather(rows).to(self._device) for each in {*raw.values()}}
            ends = {place: run(inputs[raw[place]]) for place, run in self.prefixes.items()}
            features = {name: view.gather(rows) for name, view in views.items()}
            yield rows, self.by_member(ends, features)

    def by_member(
        self,
        ends: Mapping[TowerInputs, Mapping[Cut, Activations]],
        features: Mapping[str, Activations],
    ) -> list[dict[str, Activations]]:
        """Return for each member what it reads, by slot and by view.

        Args:
            ends: What the prefixes gave, by cut.
            features: The features of each view.
        """
        return [
            {slot: ends[prepared][cut] for slot, (prepared, cut) in slots.items()}
            | {name: features[name] for name in names}
            for slots, names in zip(self._slots, self._views_of_members, strict=True)
        ]

    def _raw(self, samples: Sequence[Sample]) -> dict[TowerInputs, RawInputs]:
        """Prepare raw inputs; all image towers share those of the same settings."""
        made: dict[tuple[str, InputSettings], RawInputs] = {}
        raw = {}
        for name, inputs in self.prefixes:
            tower = self.towers[name]
            # What stands for a missing image differs by tower.
            lacking = any(sample.image is None for sample in samples)
            own = name if lacking or tower.role != "image" else "image"
            kind = (own, inputs)
            if kind not in made:
                made[kind] = raw_inputs(samples, inputs, tower)
            raw[name, inputs] = made[kind]
        return raw


def _distinct(tower: str, number: int) -> str:
    """Name a tower of one of several sets, counted from 0; those of the first keep their names."""
    if not number:
        return tower
    return f"{tower}{'.' if '/' in tower else '/'}{number + 1}"
