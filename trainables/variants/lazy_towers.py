"""The pretrained towers of an experiment, by name, each loaded on first access."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from trainables.config import ROLES

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from trainables.config import Modality, Role
    from trainables.evaluation.decision import Precision
    from trainables.modules.backbones.tower import Tower


class LazyTowers(Mapping[str, "Tower"]):
    """Towers by name: `ROLE`, or `ROLE/SOURCE` if a role has several sources.

    A process that does not use a source does not load its weights.

    Args:
        load: Loads the towers of some roles from the weights of one backbone.
        backbones: Where weights come from, by `ROLE` or `ROLE/SOURCE`, where the role may be that
            of a checkpoint that holds both towers.
        roles: Which roles are read.
        frozen_precision: In which frozen parts compute.
    """

    def __init__(
        self,
        load: Callable[[Mapping[str, str], Sequence[Role]], Mapping[str, Tower]],
        backbones: Mapping[str, str],
        roles: Sequence[Role],
        frozen_precision: Precision = "float32",
    ) -> None:
        self._load, self._weights, self._roles = load, backbones, roles
        self._frozen_precision = frozen_precision
        self._backbones = {
            name: backbone for backbone in backbones for name in _towers_of(backbone, roles)
        }
        self._loaded: dict[str, Tower] = {}

    def __getitem__(self, name: str) -> Tower:
        """Return a tower, loading it if necessary."""
        if name not in self._loaded:
            backbone = self._backbones[name]
            kind, slash, source = backbone.partition("/")
            loaded = self._load({kind: self._weights[backbone]}, self._roles)
            for tower in loaded.values():
                tower.compute_frozen_in(self._frozen_precision)
            self._loaded |= {f"{role}{slash}{source}": each for role, each in loaded.items()}
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names, in the order of the roles."""
        return iter(sorted(self._backbones, key=lambda name: self._roles.index(_kind(name))))

    def __len__(self) -> int:
        """Return the number of towers."""
        return len(self._backbones)

    def backbone_of(self, name: str) -> str:
        """Return the name of a tower's backbone: `ROLE` or `ROLE/SOURCE`."""
        return self._backbones[name]


def modality_of(towers: Collection[str]) -> Modality:
    """Return the modality that towers of these names read."""
    read = {_kind(name) for name in towers}
    return next(name for name, roles in ROLES.items() if {*roles} == read)


def holds(kind: str, role: str) -> bool:
    """Return whether a backbone, a role or a checkpoint of both, has the tower of a role."""
    return kind == role or kind not in ROLES["both"]


def _towers_of(backbone: str, roles: Sequence[Role]) -> list[str]:
    kind, slash, source = backbone.partition("/")
    return [f"{role}{slash}{source}" for role in roles if holds(kind, role)]


def _kind(name: str) -> Role:
    return name.partition("/")[0]  # type: ignore[return-value] # a tower is named by its role
