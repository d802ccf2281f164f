"""Decode bytes of unknown encoding: each text alone where possible, otherwise all texts together.

UTF-8 can be recognised in one text, as can UTF-16 and UTF-32 by their byte order marks. Legacy
encodings cannot: `é` in one is half of a Chinese character in another, and a tweet is too short to
tell. But the texts of a data set usually have one source, so their encoding is detected jointly.
"""

from __future__ import annotations

import codecs
import difflib
import encodings.aliases
import re
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from trainables.config import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

UTF8 = "utf-8"

_MARKS = (
    # Longest first: the little-endian mark of UTF-32 starts with that of UTF-16.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Double-byte encodings, with the standard that each extends: real text is almost entirely in the
# standard, bytes that decode by chance are not.
_DOUBLE_BYTE = {
    "gb18030": "gb2312",
    "big5hkscs": "big5",
    "cp949": "euc_kr",
    "euc_jis_2004": "euc_jp",
}
# Shift-JIS is not one of them: its half-width kana are single bytes, so anything decodes.
_OTHERS = (
    *("cp932", "cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257"),
    *("cp874", "koi8-r", "iso8859-2", "iso8859-5", "iso8859-7"),
)
_TWO_BYTES = {*_DOUBLE_BYTE, "euc_jp", "cp932"}
# This many texts do not decode as a double-byte encoding by chance; some may be damaged.
_ENOUGH, _NEARLY_ALL, _MOSTLY = 8, 0.95, 0.7
# Letters of any script and punctuation, but not full-width boxes and arrows.
_WRITTEN = re.compile(r"[\w\u2010-\u2027\u3001-\u3011\uff01\uff0c\uff1a\uff1b\uff1f]")
_WESTERN, _OPEN = "cp1252", 0.6
# A tweet that was cut at some byte ends in part of a typographic quote or an emoji.
_CUT_UTF8 = re.compile(rb"(?:\xe2\x80|\xf0\x9f[\x80-\xbf]?)\Z")
_DAMAGED = "damaged"
_BROKEN = "\ufffd"
# Python codecs that are not encodings of text files.
_NO_FILES = {"idna", "mbcs", "oem", "punycode", "rot_13", "rot13", "undefined"} | {
    name for name in set(encodings.aliases.aliases.values()) if name.endswith("_codec")
}
_COMMON = (
    *("utf-8", "utf-16", "gb18030", "big5", "shift_jis", "euc_jp", "euc_kr", "cp1252"),
    *("cp1251", "koi8-r", "latin-1"),
)


class Decoded(NamedTuple):
    """A decoded text.

    Attributes:
        text: The text, with U+FFFD for bytes that are invalid in its encoding.
        encoding: Python's name of it; `utf-8` with or without a byte order mark.
        broken: Number of U+FFFD that stand for invalid bytes.
    """

    text: str
    encoding: str
    broken: int


def decode_all(
    raws: Sequence[bytes], *, asked: str | None = None, expected: str | None = None
) -> list[Decoded]:
    """Decode the texts of one data set.

    Args:
        raws: The bytes of each.
        asked: The user's choice of encoding for those that are not UTF-8, if any.
        expected: The likely encoding, used if it decodes all that are not UTF-8.

    Returns:
        The texts, in order.
    """
    own = {raw: _own_encoding(raw) for raw in raws}
    left = [raw for raw, name in own.items() if name is None]
    other = asked or (_encoding_of(left, expected) if left else expected)
    names = {raw: _settle(raw, name, other, asked) for raw, name in own.items()}
    return [_decode(raw, names[raw]) for raw in raws]


class Decoder:
    """Decodes the texts of one data set and collects notes about them.

    Args:
        asked: The user's choice of encoding for what is not UTF-8, if any.
        expected: The likely encoding, used if it decodes all that is not UTF-8.

    Attributes:
        notes: Sentences on what was not UTF-8.
    """

    def __init__(self, asked: str | None = None, expected: str | None = None) -> None:
        self.notes: list[str] = []
        self._asked, self._expected = asked, expected
        self._counts: Counter[str] = Counter()

    @property
    def encoding(self) -> str | None:
        """The most frequent encoding other than UTF-8; None if all was UTF-8."""
        return next((name for name, _ in self._counts.most_common(1)), None)

    def decode(self, raws: Sequence[bytes], what: str) -> list[str]:
        """Decode texts of one kind, called `what` in the notes."""
        decoded = decode_all(raws, asked=self._asked, expected=self._expected)
        counts = Counter(each.encoding for each in decoded if each.encoding != UTF8)
        self._counts.update(counts)
        total = f"of {len(raws):,} {what}"
        for name, count in counts.most_common():
            are = "is" if count == 1 else "are"
            self.notes.append(f"{count:,} {total} {are} {_spelt(name)}, not UTF-8; read as such")
        if damaged := [each for each in decoded if each.broken]:
            names = " or ".join(sorted({_spelt(each.encoding) for each in damaged}))
            broken = sum(each.broken for each in damaged)
            hold = f"{total} {'holds' if len(damaged) == 1 else 'hold'} bytes that are no {names}"
            self.notes.append(f"{len(damaged):,} {hold}: {broken:,} became U+FFFD")
        return [each.text for each in decoded]


def is_wide(raw: bytes) -> bool:
    """Return whether bytes are UTF-16 or UTF-32, and so cannot be split at newline bytes."""
    return (_own_encoding(raw) or "").startswith(("utf-16", "utf-32"))


def encoding_faults(asked: str | None) -> Iterator[str]:
    """Yield why the value of `--encoding`, None if not given, is not an encoding of text files."""
    if asked is None:
        return
    try:
        found = codecs.lookup(asked).name.replace("-", "_")
    except (LookupError, ValueError):  # ValueError: a name with a zero byte
        found = ""
    if found and found not in _NO_FILES and not found.endswith("escape"):
        return
    aliases = encodings.aliases.aliases.items()
    known = {name for pair in aliases if not _NO_FILES & {*pair} for name in pair}
    close = difflib.get_close_matches(asked.lower(), known, n=1)
    hint = nearest(asked.lower(), known if close else _COMMON)
    yield f"--encoding must be an encoding of text, got {asked!r}; {hint}"


def _spelt(encoding: str) -> str:
    return encoding.upper().replace("_", "-")


def _own_encoding(raw: bytes) -> str | None:
    """Detect the encoding of one text by itself; None for a legacy encoding."""
    for mark, name in _MARKS:
        if raw.startswith(mark):
            return name
    if 0 in raw and (wide := _utf16_without_mark(raw)):
        return wide
    try:
        raw.decode(UTF8)
    except UnicodeDecodeError:
        return _DAMAGED if _is_damaged_utf8(raw) else None
    return UTF8


def _settle(raw: bytes, own: str | None, other: str | None, asked: str | None) -> str:
    """Choose the encoding of one text, given that of the other texts."""
    if own not in {None, _DAMAGED}:
        return str(own)
    # Double-byte encodings often look like damaged UTF-8, single-byte encodings never do.
    is_other = asked or own is None or (other in _TWO_BYTES and _decodes(raw, str(other)))
    return str(other) if is_other and other else UTF8


def _utf16_without_mark(raw: bytes) -> str | None:
    even, odd = raw[::2].count(0), raw[1::2].count(0)
    if len(raw) % 2 == 0 and max(even, odd) > 0.3 * len(raw) and not min(even, odd):
        return "utf-16-le" if odd else "utf-16-be"
    return None


def _is_damaged_utf8(raw: bytes) -> bool:
    text, _, broken = _decode(raw, UTF8)
    whole = sum(not character.isascii() for character in text) - broken
    return whole > broken or (broken == 1 and _CUT_UTF8.search(raw) is not None)


def _encoding_of(raws: Sequence[bytes], expected: str | None) -> str:
    """Choose one encoding for texts that are not UTF-8."""
    if expected is not None and all(_decodes(raw, expected) for raw in raws):
        return expected
    fitting = {
        name: share for name, core in _DOUBLE_BYTE.items() if (share := _fit(raws, name, core))
    }
    best = max(fitting.values(), default=0.0)
    names = [name for name, share in fitting.items() if share == best]
    if len(raws) >= _ENOUGH and len(names) == 1:
        found = names[0]
    else:
        found = _guess(raws, names if len(raws) >= _ENOUGH and names else [*fitting, *_OTHERS])
    return {"euc_jis_2004": "euc_jp"}.get(found, found)


def _fit(raws: Sequence[bytes], name: str, core: str) -> float:
    """Return the fraction of texts that an encoding decodes; 0 if they decode only by chance."""
    texts = [raw.decode(name) for raw in raws if _decodes(raw, name)]
    written = "".join(character for text in texts for character in text if not character.isascii())
    standard = written.encode(core, errors="ignore").decode(core)
    usual = sum(_WRITTEN.match(character) is not None for character in standard)
    share = len(texts) / len(raws)
    return share if share >= _NEARLY_ALL and usual >= _MOSTLY * len(written) else 0.0


def _guess(raws: Sequence[bytes], names: Sequence[str]) -> str:
    import chardet  # noqa: PLC0415 - rarely needed

    found = chardet.detect_all(
        b"\n".join(raws),
        ignore_threshold=True,
        include_encodings=names,
        no_match_encoding=names[0],
        compat_names=False,
    )
    sure = {str(each["encoding"]): each["confidence"] for each in found if each["encoding"]}
    best = max(sure, key=lambda name: sure[name], default=_WESTERN)
    # If a few letters leave it open, the browsers' default.
    return _WESTERN if sure.get(_WESTERN, 0.0) >= _OPEN * sure.get(best, 0.0) else best


def _decodes(raw: bytes, encoding: str) -> bool:
    try:
        raw.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _decode(raw: bytes, encoding: str) -> Decoded:
    name = UTF8 if encoding == "utf-8-sig" else encoding
    try:
        return Decoded(raw.decode(encoding), name, 0)
    except UnicodeDecodeError:
        text = raw.decode(encoding, errors="replace")
        written = raw.count(_BROKEN.encode()) if name == UTF8 else 0
        return Decoded(text, name, text.count(_BROKEN) - written)
