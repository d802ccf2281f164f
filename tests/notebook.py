"""README's Python as a notebook on the demo data: `python -m tests.notebook example.ipynb`.

`jupyter nbconvert --to html --execute example.ipynb` runs it (nbconvert, ipykernel: in no extra).
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

_README = Path(__file__).parents[1] / "README.md"
_FRAME = """\
from pathlib import Path

import pandas as pd

from trainables.data.demo import demo_corpus

demo = demo_corpus(Path("demo"))
samples = demo.labelled
frame = pd.DataFrame(
    {
        "text": [sample.text for sample in samples],
        "image": [sample.image.read_bytes() for sample in samples],
        "tag": [demo.classes.names[sample.label] for sample in samples],
    }
)
more = frame.head()
frame.head(3)[["text", "tag"]]
"""
# What README names that is not here, and what makes a search take a minute.
_HERE = {
    "weights/all-MiniLM-L6-v2": "tiny",
    "weights/mobilenet-v2": "tiny",
    "trials=12,": 'trials=3, epochs=2, image_size=32, max_concurrent=1, out="runs/mine",',
    "runs/other": "runs/mine",
}


def cells() -> list[str]:
    """The sources of the cells: a frame, then README's examples.

    Raises:
        ValueError: If README no longer has what is replaced here.
    """
    blocks = re.findall(r"```python\n(.*?)```", _README.read_text(encoding="utf-8"), re.DOTALL)
    code = "\n# ---\n".join(blocks)
    for there, here in _HERE.items():
        if there not in code:
            msg = f"README's Python must have {there!r}, got none"
            raise ValueError(msg)
        code = code.replace(there, here)
    blocks = code.split("# ---\n")
    return [_FRAME, *(cell for block in blocks for cell in block.strip().split("\n\n"))]


def notebook() -> dict[str, Any]:
    """The notebook, as JSON of nbformat 4.5."""
    made = [
        {
            "cell_type": "code",
            "id": f"cell-{number}",
            "metadata": {},
            "execution_count": None,
            "outputs": [],
            "source": source.strip(),
        }
        for number, source in enumerate(cells())
    ]
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": made}


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(notebook(), indent=1), encoding="utf-8")
