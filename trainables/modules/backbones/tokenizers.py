"""From text to token ids: the backbone's own tokenizer, or hashed words for random weights."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HASHED = "HashTokenizer"
_TEXTS = 1000  # per call: until it returns, the library holds 100 times the memory of the ids

# Must be tokenised equally after saving and loading: case, punctuation, emoji, rare words.
_PROBES = (
    "What a lovely day by the river!",
    "so sad :( don't @user https://x.co #NotGood \u2019",
    "Caf\u00e9 na\u00efve \u4f60\u597d \U0001f602 unfathomably 1,234.5",
    "",
)
_PROBE_LENGTH = 48


class Tokenizer(Protocol):
    """Turns texts into token ids.

    Attributes:
        pad_id: The id of padding.
        unknown_id: The id of unknown words; None if there is none.
    """

    pad_id: int
    unknown_id: int | None

    @property
    def fingerprint(self) -> str:
        """A digest that differs when any text could be tokenised differently."""

    def encode(self, texts: Sequence[str], length: int) -> list[list[int]]:
        """Tokenise cleaned texts.

        Args:
            texts: Cleaned texts.
            length: Maximum number of ids per text, special tokens included.

        Returns:
            The ids of each text, without padding.
        """

    def spans(self, text: str, length: int) -> list[tuple[int, int]]:
        """Locate the tokens of a text.

        Args:
            text: A cleaned text.
            length: Maximum number of ids, special tokens included.

        Returns:
            Start and end (exclusive) of each id's characters in the text; start == end for special
            tokens.
        """

    def save(self, folder: Path) -> None:
        """Write the files from which this tokenizer can be loaded into an existing folder."""

    def described(self, length: int) -> dict[str, Any]:
        """Say how to make the same ids without this code, given the files, JSON-ready.

        Args:
            length: As in `encode`.

        Returns:
            `how` in words, and the numbers in it by name.
        """


class PretrainedTokenizer:
    """The tokenizer that a backbone was pretrained with.

    Args:
        tokenizer: A tokenizer of transformers.
        causal: Whether the model pools the last token: ids after the first end-of-text token,
            which a text may spell out, are then dropped.
        longest: Number of position embeddings of the model; None for no limit.
    """

    def __init__(
        self, tokenizer: Any, *, causal: bool = False, longest: int | None = None
    ) -> None:
        self._tokenizer = tokenizer
        self._end: int | None = tokenizer.eos_token_id if causal else None
        self.pad_id: int = tokenizer.pad_token_id or 0
        self._longest = min(longest or tokenizer.model_max_length, tokenizer.model_max_length)
        unknown: int | None = tokenizer.unk_token_id
        others = {tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.bos_token_id}
        self.unknown_id = None if unknown in others else unknown

    def misfit(self, words: int) -> str | None:
        """Explain why this is not the tokenizer of a model, by the size of its vocabulary.

        Returns:
            The reason, to follow the tokenizer's name; None if it may match.
        """
        known = len(self._tokenizer)
        highest = max(self._tokenizer.get_vocab().values(), default=0)
        if highest >= words:
            return f"has ids up to {highest}, and the model knows {words}: they are not one pair"
        if known < words / 2:
            return (
                f"knows {known} words, and the model {words}: its vocabulary is missing or of "
                "another model (a file such as tokenizer.json or vocab.txt)"
            )
        return None

    @property
    def fingerprint(self) -> str:
        """A digest that differs when any text could be tokenised differently."""
        digest = hashlib.blake2b(digest_size=16)
        for part in (type(self._tokenizer).__name__, self._end, self.pad_id, *self._contents()):
            digest.update(json.dumps(part, sort_keys=True, default=str).encode() + b"\0")
        return digest.hexdigest()

    def _contents(self) -> Iterator[Any]:
        """Yield all that its files define, JSON-ready."""
        backend = getattr(self._tokenizer, "backend_tokenizer", None)
        if backend is not None:
            rules = json.loads(backend.to_str())
            # Those two are left from the last call, not from the files.
            yield {k: v for k, v in rules.items() if k not in {"truncation", "padding"}}
            return
        yield self._tokenizer.get_vocab()
        for name in sorted(self._tokenizer.vocab_files_names):
            path = Path(str(getattr(self._tokenizer, name, None)))
            yield hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else name
        settings = self._tokenizer.init_kwargs.items()
        yield {name: value for name, value in settings if isinstance(value, bool)}

    def encode(self, texts: Sequence[str], length: int) -> list[list[int]]:
        """Tokenise texts, truncated to the length, as `Tokenizer.encode`."""
        _refuse_longer(length, self._longest)
        rows: list[list[int]] = []
        for start in range(0, len(texts), _TEXTS):
            some = list(texts[start : start + _TEXTS])
            rows += self._tokenizer(some, truncation=True, max_length=length)["input_ids"]
        if self._end is None:
            return rows
        return [row[: row.index(self._end) + 1] if self._end in row else row for row in rows]

    def spans(self, text: str, length: int) -> list[tuple[int, int]]:
        """Locate the tokens of a text, as `Tokenizer.spans`.

        Slow tokenizers, which have no offsets, give whole words.

        Returns:
            Start and end (exclusive) of each id's characters.
        """
        (ids,) = self.encode([text], length)
        if not self._tokenizer.is_fast:
            return self._spans_of_words(text, ids)
        encoded = self._tokenizer(
            text, truncation=True, max_length=length, return_offsets_mapping=True
        )
        return [(start, stop) for start, stop in encoded["offset_mapping"][: len(ids)]]

    def _spans_of_words(self, text: str, ids: list[int]) -> list[tuple[int, int]]:
        """Match the ids of each word, tokenised alone, with those of the whole text."""
        spans = [(0, 0)] * len(ids)
        place = 0
        for word in re.finditer(r"\S+", text):
            own = self._tokenizer.encode(word[0], add_special_tokens=False)
            starts = range(place, len(ids) - len(own) + 1)
            found = next((i for i in starts if ids[i : i + len(own)] == own), None)
            if found is not None and own:
                spans[found : found + len(own)] = [word.span()] * len(own)
                place = found + len(own)
        return spans

    def save(self, folder: Path) -> None:
        """Write the tokenizer's files to an existing folder, and check that they load to the same.

        Raises:
            ValueError: If they tokenise differently.
        """
        self._tokenizer.save_pretrained(folder)
        if self._is_read_from(folder):
            return
        # Some slow tokenizers save their vocabulary in a format that they cannot load.
        for kind, name in self._tokenizer.vocab_files_names.items():
            original = getattr(self._tokenizer, kind, None)
            if isinstance(original, str) and Path(original).is_file():
                shutil.copyfile(original, folder / name)
        if not self._is_read_from(folder):
            name = type(self._tokenizer).__name__
            msg = f"a {name} reads other tokens once it is saved and loaded; give a tokenizer.json"
            raise ValueError(msg)

    def described(self, length: int) -> dict[str, Any]:
        """Say how to make the same ids, as `Tokenizer.described`."""
        how = (
            "tokenise with special tokens and truncate to most_tokens; of the files,"
            " tokenizer.json, where there is one, is for the library tokenizers, and all together"
            " are for AutoTokenizer of transformers"
        )
        if self._end is None:
            return {"how": how, "most_tokens": length}
        how += "; drop what follows the first id that is last_id"
        return {"how": how, "most_tokens": length, "last_id": self._end}

    def _is_read_from(self, folder: Path) -> bool:
        from transformers import AutoTokenizer  # noqa: PLC0415 - HashTokenizer needs none

        try:
            again = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        except Exception:  # noqa: BLE001 - of many types; all mean that it cannot be loaded
            return False
        options = {"truncation": True, "max_length": min(_PROBE_LENGTH, self._longest)}
        ours, theirs = (each(list(_PROBES), **options) for each in (self._tokenizer, again))
        return bool(ours["input_ids"] == theirs["input_ids"])


class HashTokenizer:
    """Hash each word to a bucket by CRC-32: needs no vocabulary file; for random weights.

    Args:
        vocabulary_size: Number of ids; 0 is padding, 1 starts and 2 ends a text.
        longest: Number of position embeddings of the model; None for no limit.
    """

    pad_id = 0
    unknown_id: int | None = None

    def __init__(self, vocabulary_size: int, longest: int | None = None) -> None:
        self.vocabulary_size = vocabulary_size
        self._longest = longest

    @property
    def fingerprint(self) -> str:
        """A digest that differs when any text could be tokenised differently."""
        return f"{HASHED}-{self.vocabulary_size}"

    def encode(self, texts: Sequence[str], length: int) -> list[list[int]]:
        """Tokenise texts at white space, as `Tokenizer.encode`."""
        _refuse_longer(length, self._longest)
        buckets = self.vocabulary_size - 3
        return [
            [1, *(3 + zlib.crc32(w.encode()) % buckets for w in text.split()[: length - 2]), 2]
            for text in texts
        ]

    def spans(self, text: str, length: int) -> list[tuple[int, int]]:
        """Locate the tokens of a text, as `Tokenizer.spans`."""
        words = list(re.finditer(r"\S+", text))[: length - 2]
        return [(0, 0), *(word.span() for word in words), (0, 0)]

    def save(self, folder: Path) -> None:
        """Write a tokenizer config that marks hashed words into an existing folder."""
        (folder / "tokenizer_config.json").write_text(
            json.dumps({"tokenizer_class": HASHED, "vocab_size": self.vocabulary_size})
        )

    def described(self, length: int) -> dict[str, Any]:
        """Say how to make the same ids, as `Tokenizer.described`."""
        how = (
            "split at white space and keep the first most_tokens - 2 words; the ids are 1, then"
            " 3 + crc32(word in UTF-8) % (vocabulary - 3) of each word, then 2"
        )
        return {"how": how, "most_tokens": length, "vocabulary": self.vocabulary_size}


class PaddedTokenizer:
    """Pad each text to one length, as a model was pretrained that attends to padding (SigLIP).

    Args:
        tokenizer: The backbone's own tokenizer.
        width: The number of ids of every text; longer texts are truncated.
    """

    def __init__(self, tokenizer: Tokenizer, width: int) -> None:
        self._tokenizer = tokenizer
        self._width = width
        self.pad_id: int = tokenizer.pad_id
        self.unknown_id: int | None = tokenizer.unknown_id

    @property
    def fingerprint(self) -> str:
        """A digest that differs when any text could be tokenised differently."""
        return f"{self._tokenizer.fingerprint}, padded to {self._width}"

    def encode(self, texts: Sequence[str], length: int) -> list[list[int]]:
        """Tokenise texts, truncated to the length and padded, as `Tokenizer.encode`."""
        rows = self._tokenizer.encode(texts, min(length, self._width))
        return [row + [self.pad_id] * (self._width - len(row)) for row in rows]

    def spans(self, text: str, length: int) -> list[tuple[int, int]]:
        """Locate the tokens of a text, as `Tokenizer.spans`; padding is a special token."""
        spans = self._tokenizer.spans(text, min(length, self._width))
        return spans + [(0, 0)] * (self._width - len(spans))

    def save(self, folder: Path) -> None:
        """Write the files of the tokenizer into an existing folder."""
        self._tokenizer.save(folder)

    def described(self, length: int) -> dict[str, Any]:
        """Say how to make the same ids, as `Tokenizer.described`."""
        own = self._tokenizer.described(min(length, self._width))
        own["how"] += "; then pad to padded_to with pad_id, and take that padding for tokens"
        return own | {"padded_to": self._width}


def is_hashed(folder: Path) -> bool:
    """Return whether `HashTokenizer` wrote the tokenizer of a folder."""
    path = folder / "tokenizer_config.json"
    return path.is_file() and json.loads(path.read_text()).get("tokenizer_class") == HASHED


def _refuse_longer(length: int, longest: int | None) -> None:
    if longest is not None and length > longest:
        msg = f"--text-length must be <= {longest} for this text backbone, got {length}"
        raise ValueError(msg)
