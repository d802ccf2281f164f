"""The places of a classifier that a tower fills: one per role, or two where two are read together.

A slot is called by its role, `text`, and the second of a role `text_second`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainables.config import Role

_SECOND = "_second"


def slot_of(role: Role, place: int) -> str:
    """Name a slot.

    Args:
        role: What its tower reads.
        place: 0, or 1 for the second of two.

    Returns:
        Its name.
    """
    return role + _SECOND * place


def is_second(slot: str) -> bool:
    """Say whether a slot is the second of its role.

    Args:
        slot: Its name.

    Returns:
        Whether it is.
    """
    return slot.endswith(_SECOND)


def role_of(slot: str) -> Role:
    """Give the role of a slot.

    Args:
        slot: Its name.

    Returns:
        What its tower reads.
    """
    return cast("Role", slot.removesuffix(_SECOND))


def beside(slot: str, role: Role) -> str:
    """Name the slot of another role that stands at the same place.

    Args:
        slot: A slot's name.
        role: The other role.

    Returns:
        The name of its slot.
    """
    return slot_of(role, int(is_second(slot)))


def summed_by_role(sizes: Mapping[str, int]) -> dict[str, int]:
    """Add up what the slots of each role have.

    Args:
        sizes: By slot.

    Returns:
        By role, in the order of the slots.
    """
    sums: dict[str, int] = {}
    for slot, size in sizes.items():
        sums[role_of(slot)] = sums.get(role_of(slot), 0) + size
    return sums
