"""The first lines of a search's output: what is searched, and what its scores are worth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from search.connection import joining
from search.scratch import from_scratch
from trainables.modules.weights import TINY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from search.plan import Plan
    from trainables.data.sample import Corpus


def headlines(plan: Plan, corpus: Corpus) -> Iterator[tuple[str, str]]:
    """Say what is about to be searched, and where.

    Args:
        plan: The search.
        corpus: The data.

    Yields:
        A line and its style.
    """
    yield title(plan, corpus), "bold"
    if joined := joining(plan.settings.resources.address):
        yield joined, ""
    for noticed in (warning(plan, corpus), *corpus.notes):
        if noticed:
            yield noticed, "yellow"


def title(plan: Plan, corpus: Corpus) -> str:
    """Say what is searched, on what, with what: the first line of the output.

    Args:
        plan: The search.
        corpus: The data.

    Returns:
        One line.
    """
    weights = ", ".join(f"{role} {_short(source)}" for role, source in plan.backbones.items())
    data = "the embedded demo data" if corpus.is_demo else corpus.name
    counts = f"{len(corpus.labelled):,} labelled, {len(corpus.unlabelled):,} to predict"
    modality = plan.settings.modality
    name = plan.variant.name + (f", {modality} only," if modality != "both" else "")
    return f"{name} on {data} ({counts}) with {weights}"


def warning(plan: Plan, corpus: Corpus) -> str:
    """Say why scores say nothing about real data.

    Args:
        plan: The search.
        corpus: The data.

    Returns:
        One line; empty where they do.
    """
    random = [role for role, source in plan.backbones.items() if source == TINY]
    reasons = ["demo data"] * corpus.is_demo
    # Said, as a search of pretrained towers has other ranges.
    space = " and a search space for them" * from_scratch(plan.backbones)
    reasons += [f"random tiny weights ({', '.join(random)}){space}"] * bool(random)
    return f"{', '.join(reasons)}: scores say nothing about real tweets" if reasons else ""


def _short(source: str) -> str:
    return source.rstrip("/").rsplit("/", 1)[-1] if source.startswith("/") else source
