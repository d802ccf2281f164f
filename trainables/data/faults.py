"""Faults of one data set, gathered so that one message can tell them all."""

from __future__ import annotations

EXAMPLES = 5
_LONGEST = 400  # characters; the place stands first, the cause last


class CorpusError(ValueError):
    """A data set cannot be used; the message lists every kind of fault with examples."""


def legible(words: object) -> str:
    """Make what others have written fit a message.

    Args:
        words: A path, or what was found.

    Returns:
        Valid UTF-8, which a name on disk need not be; the middle of very long words is left out.
    """
    text = str(words).encode(errors="backslashreplace").decode()
    if len(text) <= _LONGEST:
        return text
    return f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 2 :]}"


class Faults:
    """What is wrong with a data set, by the rule that is broken."""

    def __init__(self) -> None:
        self._examples: dict[str, list[str]] = {}

    def __bool__(self) -> bool:
        return bool(self._examples)

    def add(self, rule: str, example: str) -> None:
        """Note one fault.

        Args:
            rule: What must hold.
            example: Where it does not, and what is there instead.
        """
        example = legible(example)
        self._examples.setdefault(rule, []).append(example)

    def raise_any(self, source: object) -> None:
        """Raise when there is any fault.

        Args:
            source: The data set, for the message.

        Raises:
            CorpusError: If a fault was noted; gives at most `EXAMPLES` of each kind.
        """
        if not self._examples:
            return
        count = sum(map(len, self._examples.values()))
        lines = [f"{legible(source)} has {count:,} {'fault' if count == 1 else 'faults'}:"]
        for rule, examples in self._examples.items():
            lines.append(f"- {rule}:")
            lines += [f"    {example}" for example in examples[:EXAMPLES]]
            if len(examples) > EXAMPLES:
                lines.append(f"    and {len(examples) - EXAMPLES:,} more")
        raise CorpusError("\n".join(lines))
