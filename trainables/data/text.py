"""Clean text before tokenisation; deterministic and idempotent."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trainables.config import TextCleaning

LOWER = "lower"
"""The step that lower-cases."""

Step = tuple[str, str] | str
"""What to replace everywhere: a pattern of Python's `re`, and by what; or `LOWER`."""

# \w matches Unicode letters, digits and the underscore; \s what `str.split` splits at.
_RETWEET: Step = (r"\bRT\b", "")
_MENTION: Step = (r"@\w+", "")
_LINK: Step = (r"(?i)htt\S*", "")
# Typographic, modifier, full-width and mistyped apostrophes, the prime and accents.
_APOSTROPHES: Step = ("[\u2019\u2018\u02bc\uff07\u2032`\u00b4]", "'")
_SPACES: Sequence[Step] = ((r"\s+", " "), (r"^ | $", ""))
# Lower-case before links and marks, because it can add marks: "İ" becomes "i" and a combining dot.
_BEGINNING: Sequence[Step] = (_RETWEET, _MENTION, LOWER, _LINK)
# Removal can join two words so that they look like a link: "twilight!the".
_END: Sequence[Step] = (("htt", "ht t"), *_SPACES)

STEPS: Mapping[TextCleaning, Sequence[Step]] = {
    "basic": (*_BEGINNING, (r"[^\w\s]|_", ""), *_END),
    "improved": (*_BEGINNING, _APOSTROPHES, (r"[^\w\s']|_", ""), *_END),
    # Links first: removing one may expose an RT, but nothing exposes a link.
    "minimal": (_LINK, _MENTION, _RETWEET, *_SPACES),
}
"""What each cleaning does, in order."""


def clean_text(text: str, cleaning: TextCleaning) -> str:
    """Remove what carries no sentiment from a tweet.

    Stop words and word endings stay, since negations depend on them.

    In order: the word RT, @mentions and links (`htt` up to white space) are removed, then every
    character that is not a letter, digit or white space (`improved` keeps apostrophes, normalised
    to the plain one); white space is collapsed and letters are lower-cased. `minimal` only removes
    RT, mentions and links, and collapses white space.

    Args:
        text: The decoded text.
        cleaning: `basic`, `improved` or `minimal`.

    Returns:
        The words, separated by single spaces; may be empty. Cleaning again changes nothing.
    """
    for pattern, by in _compiled(cleaning):
        text = text.lower() if pattern is None else pattern.sub(by, text)
    return text


@cache
def _compiled(cleaning: TextCleaning) -> list[tuple[re.Pattern[str] | None, str]]:
    steps = STEPS[cleaning]
    return [
        (None, "") if isinstance(step, str) else (re.compile(step[0]), step[1]) for step in steps
    ]
