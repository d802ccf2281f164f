"""Clean text before tokenisation; deterministic and idempotent."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainables.config import TextCleaning

_RETWEET = re.compile(r"\bRT\b")
_MENTION = re.compile(r"@\w+")
_LINK = re.compile(r"htt\S*", re.IGNORECASE)
# \w matches Unicode letters, digits and the underscore.
_DROPPED = {
    "basic": re.compile(r"[^\w\s]|_"),
    "improved": re.compile(r"[^\w\s']|_"),
}
# Typographic, modifier, full-width and mistyped apostrophes, the prime and accents.
_APOSTROPHES = str.maketrans(dict.fromkeys("\u2019\u2018\u02bc\uff07\u2032`\u00b4", "'"))


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
    if cleaning == "minimal":
        # Links first: removing one may expose an RT, but nothing exposes a link.
        return " ".join(_RETWEET.sub("", _MENTION.sub("", _LINK.sub("", text))).split())
    text = _MENTION.sub("", _RETWEET.sub("", text))
    # Lower-case first, because it can add marks: "İ" becomes "i" and a combining dot.
    text = _LINK.sub("", text.lower())
    if cleaning == "improved":
        text = text.translate(_APOSTROPHES)
    text = _DROPPED[cleaning].sub("", text)
    # Removal can join two words so that they look like a link: "twilight!the".
    text = text.replace("htt", "ht t")
    return " ".join(text.split())
