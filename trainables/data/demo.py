"""The built-in demo data: generated pairs that need both text and image to be classified.

A text cue t and an image cue i in {-1, 0, 1} define the class: the sign of t + i. `CELLS` gives
the number of pairs per combination, and with it the limit of one modality: the best rule on the
text or on the image alone reaches a weighted F1 of 0.722, on both it reaches 1.
"""

from __future__ import annotations

import os
import random
from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING

from trainables.data.corpus import load_corpus
from trainables.data.faults import CorpusError
from trainables.data.listing import TEST_LIST, TRAIN_LIST
from trainables.data.scenes import draw_scene
from trainables.data.text import clean_text
from trainables.evaluation.classes import SENTIMENTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from trainables.data.sample import Corpus

# Labelled pairs by (text cue, image cue): 180 positive, 30 neutral, 90 negative.
CELLS: Mapping[tuple[int, int], int] = {
    (1, 1): 30, (1, 0): 75, (0, 1): 75,
    (0, 0): 6, (1, -1): 12, (-1, 1): 12,
    (-1, -1): 14, (-1, 0): 38, (0, -1): 38,
}  # fmt: skip
CUE_WORDS: Mapping[int, tuple[str, ...]] = {
    1: ("great", "lovely", "happy", "perfect"),
    0: ("usual", "ordinary", "normal", "plain"),
    -1: ("awful", "sad", "terrible", "ruined"),
}

_UNLABELLED = 40
_SEED = 20
_QUALITY = 85
# Version of what this module writes; increment it to have all folders rewritten.
_VERSION = "demo 3"
_STAMP = "demo.txt"
_TEMPLATES = (
    "{cue} {topic}!",
    "{cue} {topic} #{tag}",
    "RT @{user}: {cue} {topic}",
    "{cue} {topic} with @{user}",
    "My {cue} {topic} http://t.co/{link}",
    "So {cue}, this {topic}",
)
_TOPICS = ("day", "morning", "walk", "match", "lunch", "trip", "concert", "weekend", "party")
_TAGS = ("monday", "photo", "outside", "life", "city")
_USERS = ("anna", "tom_b", "the_kims", "river99", "joe")


def demo_corpus(folder: Path) -> Corpus:
    """Return the demo data, written as real files in the lab's layout on first use.

    The files are the same on every call, and two processes may write them at once. Files that are
    damaged or written by another version are replaced.

    Args:
        folder: Where the files are; created if missing, and used for nothing else.

    Returns:
        300 labelled pairs (180 positive, 30 neutral, 90 negative) and 40 unlabelled ones.
    """
    corpus = _stored(folder)
    if corpus is None:
        _write_pairs(folder)
        corpus = load_corpus(folder)
        _write(folder / _STAMP, f"{_VERSION}\n{corpus.digest}\n".encode())
    return replace(corpus, name="demo", is_demo=True)


def _stored(folder: Path) -> Corpus | None:
    try:
        version, digest = (folder / _STAMP).read_text(encoding="utf-8").splitlines()
        corpus = load_corpus(folder)
    except (OSError, CorpusError, ValueError):
        return None
    return corpus if (version, digest) == (_VERSION, corpus.digest) else None


def _write_pairs(folder: Path) -> None:
    # random.Random is reproducible across versions of Python.
    rng = random.Random(_SEED)
    cells = [cell for cell, count in CELLS.items() for _ in range(count)]
    rng.shuffle(cells)
    labelled = len(cells)
    cells += rng.choices(list(CELLS), weights=list(CELLS.values()), k=_UNLABELLED)
    texts = {cue: _texts(cue, rng) for cue in CUE_WORDS}
    lists = {TRAIN_LIST: ["guid,tag"], TEST_LIST: ["guid,tag"]}
    for index, (text_cue, image_cue) in enumerate(cells):
        guid = f"{index + 1:03d}"
        scene = BytesIO()
        draw_scene(image_cue, rng).save(scene, "JPEG", quality=_QUALITY)
        _write(folder / "data" / f"{guid}.txt", next(texts[text_cue]).encode())
        _write(folder / "data" / f"{guid}.jpg", scene.getvalue())
        if index < labelled:
            lists[TRAIN_LIST].append(f"{guid},{_tag(text_cue + image_cue)}")
        else:
            lists[TEST_LIST].append(f"{guid},null")
    for name, lines in lists.items():
        _write(folder / name, "\n".join([*lines, ""]).encode())


def _tag(cues: int) -> str:
    positive, neutral, negative = SENTIMENTS.names
    if cues == 0:
        return neutral
    return positive if cues > 0 else negative


def _texts(cue: int, rng: random.Random) -> Iterator[str]:
    """Generate tweets with one cue word each, no two with the same words."""
    seen = set()
    while True:
        text = rng.choice(_TEMPLATES).format(
            cue=rng.choice(CUE_WORDS[cue]),
            topic=rng.choice(_TOPICS),
            tag=rng.choice(_TAGS),
            user=rng.choice(_USERS),
            link=f"{rng.getrandbits(32):08x}",
        )
        words = clean_text(text, "basic")  # equal words would make the pairs duplicates
        if words not in seen:
            seen.add(words)
            yield text


def _write(path: Path, content: bytes) -> None:
    """Write a file atomically, creating its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.write_bytes(content)
    draft.replace(path)
