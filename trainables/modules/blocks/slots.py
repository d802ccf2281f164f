"""The inputs of a classifier that towers fill: one slot per role, or two if a role has two towers.

A slot is named after its role, such as `text`; the second of a role is `text_second`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainables.config import Role

_SECOND = "_second"


def slot_of(role: Role, place: int) -> str:
    """Return the name of a role's slot; `place` is 0, or 1 for the second."""
    return role + _SECOND * place


def is_second(slot: str) -> bool:
    """Return whether a slot is the second of its role."""
    return slot.endswith(_SECOND)


def role_of(slot: str) -> Role:
    """Return the role of a slot."""
    return cast("Role", slot.removesuffix(_SECOND))


def beside(slot: str, role: Role) -> str:
    """Return the name of the slot of another role at the same place."""
    return slot_of(role, int(is_second(slot)))


def summed_by_role(sizes: Mapping[str, int]) -> dict[str, int]:
    """Sum sizes by slot to sizes by role, in the order of the slots."""
    sums: dict[str, int] = {}
    for slot, size in sizes.items():
        sums[role_of(slot)] = sums.get(role_of(slot), 0) + size
    return sums
