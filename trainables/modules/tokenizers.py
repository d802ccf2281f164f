"""How text becomes token ids: the backbone's own tokenizer, or words hashed for random weights."""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HASHED = "HashTokenizer"
_TEXTS = 1000  # at a time: a library keeps a hundred times the ids of each until it returns


class Tokenizer(Protocol):
    """Anything that turns texts into token ids."""

    pad_id: int

    @property
    def fingerprint(self) -> str:
        """A name that differs when any text could become other ids."""

    def encode(self, texts: Sequence[str], length: int) -> list[list[int]]:
        """Tokenise texts.

        Args:
            texts: Cleaned texts.
            length: Most ids per text, special tokens included.

        Returns:
            Ids of each text, not padded.
        """

    def spans(self, text: str, length: int) -> list[tuple[int, int]]:
        """Say where the tokens of a text are in it.

        Args:
            text: A cleaned text.
            length: Most ids, special tokens included.

        Returns:
            First character and the one after the last of each id that `encode` gives; the same
            number twice for special tokens.
        """

    def save(self, folder: Path) -> None:
        """Write what loading this tokenizer needs.

        Args:
            folder: An existing folder.
        """


class PretrainedTokenizer:
    """The tokenizer that a backbone was pretrained with.

    Args:
        tokenizer: A tokenizer of transformers.
        causal: Whether the model reads a text's last id: ids after the first end of text, which
            a text may spell out, are then dropped.
    """

    def __init__(self, tokenizer: Any, *, causal: bool = False) -> None:
        self._tokenizer = tokenizer
        self._end: int | None = tokenizer.eos_token_id if causal else None
        self.pad_id: int = tokenizer.pad_token_id or 0

    @property
    def fingerprint(self) -> str:
        """A name that differs when any text could become other ids."""
        digest = hashlib.blake2b(digest_size=16)
        for part in (type(self._tokenizer).__name__, self._end, self.pad_id, *self._contents()):
            digest.update(json.dumps(part, sort_keys=True, default=str).encode() + b"\0")
        return digest.hexdigest()

    def _contents(self) -> Iterator[Any]:
        """What its files say, JSON-ready."""
        backend = getattr(self._tokenizer, "backend_tokenizer", None)
        if backend is not None:
            rules = json.loads(backend.to_str())
            # These two are the last call's, not the files'.
            yield {k: v for k, v in rules.items() if k not in {"truncation", "padding"}}
            return
        yield self._tokenizer.get_vocab()
        for name in sorted(self._tokenizer.vocab_files_names):
            path = Path(str(getattr(self._tokenizer, name, None)))
            yield hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else name
        settings = self._tokenizer.init_kwargs.items()
        yield {name: value for name, value in settings if isinstance(value, bool)}

    def encode(self, texts: Sequence[str], length: int) -> list[list[int]]:
        """Tokenise texts, cutting off what exceeds the length.

        Args:
            texts: Cleaned texts.
            length: Most ids per text, special tokens included.

        Returns:
            Ids of each text, not padded.

        Raises:
            ValueError: If the backbone has no places for that many ids.
        """
        if length > (most := self._tokenizer.model_max_length):
            msg = f"text_length must be <= {most} for this backbone, got {length}"
            raise ValueError(msg)
        rows: list[list[int]] = []
        for start in range(0, len(texts), _TEXTS):
            some = list(texts[start : start + _TEXTS])
            rows += self._tokenizer(some, truncation=True, max_length=length)["input_ids"]
        if self._end is None:
            return rows
        return [row[: row.index(self._end) + 1] if self._end in row else row for row in rows]

    def spans(self, text: str, length: int) -> list[tuple[int, int]]:
        """Say where the tokens of a text are in it.

        Args:
            text: A cleaned text.
            length: Most ids, special tokens included.

        Returns:
            First character and the one after the last of each id that `encode` gives; the same
            number twice for special tokens.
        """
        encoded = self._tokenizer(
            text, truncation=True, max_length=length, return_offsets_mapping=True
        )
        kept = len(self.encode([text], length)[0])
        return [(start, stop) for start, stop in encoded["offset_mapping"][:kept]]

    def save(self, folder: Path) -> None:
        """Write the tokenizer's files.

        Args:
            folder: An existing folder.
        """
        self._tokenizer.save_pretrained(folder)


class HashTokenizer:
    """Each word is a bucket of its CRC-32: a vocabulary that needs no file, for random weights.

    Args:
        vocabulary_size: Number of ids; 0 pads, 1 begins, 2 ends a text.
    """

    pad_id = 0

    def __init__(self, vocabulary_size: int) -> None:
        self.vocabulary_size = vocabulary_size

    @property
    def fingerprint(self) -> str:
        """A name that differs when any text could become other ids."""
        return f"{HASHED}-{self.vocabulary_size}"

    def encode(self, texts: Sequence[str], length: int) -> list[list[int]]:
        """Tokenise texts at white space.

        Args:
            texts: Cleaned texts.
            length: Most ids per text, special tokens included.

        Returns:
            Ids of each text, not padded.
        """
        buckets = self.vocabulary_size - 3
        return [
            [1, *(3 + zlib.crc32(w.encode()) % buckets for w in text.split()[: length - 2]), 2]
            for text in texts
        ]

    def spans(self, text: str, length: int) -> list[tuple[int, int]]:
        """Say where the tokens of a text are in it.

        Args:
            text: A cleaned text.
            length: Most ids, special tokens included.

        Returns:
            First character and the one after the last of each id that `encode` gives; the same
            number twice for special tokens.
        """
        words = list(re.finditer(r"\S+", text))[: length - 2]
        return [(0, 0), *(word.span() for word in words), (0, 0)]

    def save(self, folder: Path) -> None:
        """Write a file that says words are hashed.

        Args:
            folder: An existing folder.
        """
        (folder / "tokenizer_config.json").write_text(
            json.dumps({"tokenizer_class": HASHED, "vocab_size": self.vocabulary_size})
        )


def is_hashed(folder: Path) -> bool:
    """Say whether a saved text tower hashes its words.

    Args:
        folder: A folder in the Hugging Face format.

    Returns:
        Whether `HashTokenizer` wrote its tokenizer.
    """
    path = folder / "tokenizer_config.json"
    return path.is_file() and json.loads(path.read_text()).get("tokenizer_class") == HASHED
