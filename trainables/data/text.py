"""Text to what a tokenizer should see: deterministic and idempotent."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainables.config import TextCleaning

_RETWEET = re.compile(r"\bRT\b")
_MENTION = re.compile(r"@\w+")
_LINK = re.compile(r"htt\S*", re.IGNORECASE)
# \w is Unicode's letters, numbers and the underscore.
_DROPPED = {
    "basic": re.compile(r"[^\w\s]|_"),
    "improved": re.compile(r"[^\w\s']|_"),
}
# Typographic, modifier, full-width and mistyped apostrophes, the prime, the accents.
_APOSTROPHES = str.maketrans(dict.fromkeys("\u2019\u2018\u02bc\uff07\u2032`\u00b4", "'"))


def clean_text(text: str, cleaning: TextCleaning) -> str:
    """Take out of a tweet what carries no sentiment.

    Stop words and endings stay, since negations hang on them.
    In order: the word RT, @mentions and links (`htt` up to white space) go; so does every
    character that is no letter, digit or white space (`improved` keeps apostrophes, in their
    plain form); white space is folded; letters become lower case. `minimal` takes out RT,
    mentions and links alone, and folds white space.

    Args:
        text: The decoded text.
        cleaning: `basic`, `improved` or `minimal`.

    Returns:
        The words, parted by single spaces; may be empty. Cleaning it again changes nothing.
    """
    if cleaning == "minimal":
        # Links go first: what they end with may uncover an RT, and nothing uncovers a link.
        return " ".join(_RETWEET.sub("", _MENTION.sub("", _LINK.sub("", text))).split())
    text = _MENTION.sub("", _RETWEET.sub("", text))
    # Lower-casing comes before dropping, because it can make marks: "İ" becomes "i" and a dot.
    text = _LINK.sub("", text.lower())
    if cleaning == "improved":
        text = text.translate(_APOSTROPHES)
    text = _DROPPED[cleaning].sub("", text)
    # Dropping can glue two words so that they look like a link: "twilight!the".
    text = text.replace("htt", "ht t")
    return " ".join(text.split())
