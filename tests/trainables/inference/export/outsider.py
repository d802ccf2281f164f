"""Someone without our code: classifies a pair by what lies beside an exported graph, and no more.

Nothing of ours is imported, nor PyTorch or transformers.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
from PIL import Image, ImageFilter, ImageOps
from tokenizers import Tokenizer
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

Pair = tuple["str | None", "Path | None"]


def classify(graph: Path, pairs: Sequence[Pair]) -> tuple[list[str], Any, Any]:
    """Decide on the classes of texts with their images; also both outputs of the graph."""
    about = json.loads(graph.with_name(f"{graph.name}.json").read_text(encoding="utf-8"))
    texts, images = [text for text, _ in pairs], [image for _, image in pairs]
    given: dict[str, Any] = {}
    for name, one in about["inputs"].items():
        if "tokenizer" in one:
            rows = [_ids(one, text or "", graph.parent) for text in texts]
            longest = max(map(len, rows))
            pad = one["pad_id"]
            given[name] = np.array([row + [pad] * (longest - len(row)) for row in rows])
            given[name.replace("input_ids", "attention_mask")] = np.array(
                [[1] * len(row) + [0] * (longest - len(row)) for row in rows]
            )
        elif one["of"] == "image":
            given[name] = np.stack([_pixels(one, path) for path in images])
        elif "columns" in one:
            given[name] = np.array([_lexicon(text or "") for text in texts], np.float32)
    session = onnxruntime.InferenceSession(graph)
    probabilities, calibrated = session.run(["probabilities", "calibrated"], given)
    return [_decided(about, row) for row in probabilities], probabilities, calibrated


def _decided(about: Mapping[str, Any], probabilities: Any) -> str:
    rule, by_class = about["decision"], dict(zip(about["classes"], probabilities, strict=True))
    others = [p for name, p in by_class.items() if name != rule["fallback_class"]]
    if max(others) < rule["fallback_threshold"]:
        return str(rule["fallback_class"])
    return max(by_class, key=lambda name: by_class[name] * rule["weights"][name])


def _ids(one: Mapping[str, Any], text: str, folder: Path) -> list[int]:
    for step in one["cleaning_steps"]:
        text = text.lower() if step["do"] == "lower" else re.sub(step["pattern"], step["by"], text)
    rule = one["tokenizer"]
    if "vocabulary" in rule:
        buckets = rule["vocabulary"] - 3
        words = text.split()[: rule["most_tokens"] - 2]
        ids = [1, *(3 + zlib.crc32(word.encode()) % buckets for word in words), 2]
    else:
        tokenizer = Tokenizer.from_file(str(folder / rule["files"] / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.enable_truncation(rule["most_tokens"])
        ids = tokenizer.encode(text).ids
    if "last_id" in rule and rule["last_id"] in ids:
        ids = ids[: ids.index(rule["last_id"]) + 1]
    return ids + [one["pad_id"]] * (rule.get("padded_to", 0) - len(ids))


def _pixels(one: Mapping[str, Any], path: Path | None) -> Any:
    side = one["shape"][2]
    if path is None:
        colour = json.loads(one["missing"].removeprefix("every pixel is "))
        return np.broadcast_to(np.array(colour, np.uint8)[:, None, None], (3, side, side))
    image = ImageOps.exif_transpose(Image.open(path))
    if image.has_transparency_data:
        page = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(page, image.convert("RGBA"))
    image = image.convert("RGB")
    short = min(image.size)
    if one["preparation"] == "basic":
        scale = side / max(image.size)
        size = [max(1, round(length * scale)) for length in image.size]
        square = Image.new("RGB", (side, side), "white")
        place = ((side - size[0]) // 2, (side - size[1]) // 2)
        square.paste(image.resize((size[0], size[1]), Image.Resampling.LANCZOS), place)
    elif one["preparation"] == "improved":
        left, top = (image.width - short) // 2, (image.height - short) // 2
        square = image.crop((left, top, left + short, top + short))
        square = square.resize((side, side), Image.Resampling.LANCZOS)
    else:
        x, y, reach = image.width / 2, image.height / 2, 0.875 * short / 2
        box = (x - reach, y - reach, x + reach, y + reach)
        square = image.resize((side, side), Image.Resampling.BILINEAR, box=box)
    blur = [float(step.split()[-1]) for step in one["preparation_steps"] if "Blur" in step]
    for radius in blur:
        square = square.filter(ImageFilter.GaussianBlur(radius))
    return np.asarray(square).transpose(2, 0, 1)


def _lexicon(text: str) -> list[float]:
    analyzer = SentimentIntensityAnalyzer()
    scores = analyzer.polarity_scores(" ".join(text.split()[:500]))
    links = re.findall(r"https?://\S+", text, re.IGNORECASE)
    bare = re.sub(r"@\w+", " ", re.sub(r"(?i)https?://\S+", " ", text))
    words = re.findall(r"\w+", bare)
    valences = [analyzer.lexicon.get(word.lower(), 0) for word in words]
    counts = [
        sum(valence > 0 for valence in valences),
        sum(valence < 0 for valence in valences),
        *(text.count(mark) for mark in "#!?@"),
        len(links),
        len(words),
        sum(unicodedata.category(character) == "So" for character in text),
        sum(len(word) >= 2 and word.isupper() for word in words),
        len(re.findall(r"([^\W\d_])\1\1+", text)),
    ]
    return [
        *(scores[name] for name in ("neg", "neu", "pos", "compound")),
        max([0.0, *valences]),
        min([0.0, *valences]),
        *(math.log(1 + count) for count in counts),
    ]
