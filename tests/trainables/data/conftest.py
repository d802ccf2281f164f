"""Small data sets on disk, and the real one where it is."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from trainables.data.corpus import CorpusError, load_corpus

if TYPE_CHECKING:
    from trainables.data.sample import Corpus

REAL = Path(__file__).parents[4] / "shared" / "mvsa"


def jpeg(seed: int, size: tuple[int, int] = (40, 30)) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    file = BytesIO()
    Image.fromarray(noise).save(file, "JPEG")
    return file.getvalue()


def write_lab(folder: Path, tags: dict[str, str], test: tuple[str, ...] = ()) -> Path:
    (folder / "data").mkdir(parents=True)
    rows = [f"{guid},{tag}" for guid, tag in tags.items()]
    (folder / "train.txt").write_text("\n".join(["guid,tag", *rows, ""]))
    rows = [f"{guid},null" for guid in test]
    (folder / "test_without_label.txt").write_text("\n".join(["guid,tag", *rows, ""]))
    for index, guid in enumerate([*tags, *test]):
        (folder / "data" / f"{guid}.txt").write_text(f"text of {guid}")
        (folder / "data" / f"{guid}.jpg").write_bytes(jpeg(index))
    return folder


def write_table(folder: Path, *rows: str) -> Path:
    """Write a CSV of the given rows beside `pics/1.jpg` and `pics/2.jpg`."""
    (folder / "pics").mkdir()
    for number in (1, 2):
        (folder / "pics" / f"{number}.jpg").write_bytes(jpeg(number))
    table = folder / "pairs.csv"
    table.write_bytes("\n".join(rows).encode(errors="surrogateescape"))
    return table


def fault_message(path: Path) -> str:
    with pytest.raises(CorpusError) as error:
        load_corpus(path)
    return str(error.value)


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """Three labelled pairs (007, 12, x-1) and two to predict (8, 9), in the lab's layout."""
    tags = {"007": "positive", "12": "neutral", "x-1": "negative"}
    return write_lab(tmp_path / "lab", tags, ("8", "9"))


@pytest.fixture(scope="session")
def real() -> Corpus:
    """The real data set: 4,000 labelled pairs and 511 to predict."""
    if not (REAL / "train.txt").is_file():
        pytest.skip("the real data set is not in ../shared/mvsa")
    return load_corpus(REAL)
