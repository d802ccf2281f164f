"""The families of backbones that a search reads, as a table."""

from __future__ import annotations

from itertools import groupby

from rich.table import Table

from trainables.modules.backbones.families import FAMILIES

_FLAGS = {"text": "text=SOURCE", "image": "image=SOURCE", "pair": "clip=SOURCE"}


def backbones_table() -> Table:
    """List every family with a well-known checkpoint, its size and the blocks that may train."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("--backbone", "family", "a checkpoint"):
        table.add_column(name, no_wrap=True)
    for name in ("million parameters", "blocks"):
        table.add_column(name, justify="right", no_wrap=True)
    for kind, families in groupby(FAMILIES, key=lambda family: family.kind):
        for i, family in enumerate(families):
            flag = "" if i else _FLAGS[kind]
            own = family.types[:1] == ("blip",)
            table.add_row(
                "blip=SOURCE" if own else flag,
                family.name,
                family.checkpoint,
                f"{family.millions:.1f}",
                " + ".join(map(str, family.depth)),
            )
    return table
