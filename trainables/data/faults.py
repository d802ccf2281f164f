"""Collect the faults of a data set, to report them all in one message."""

from __future__ import annotations

EXAMPLES = 5
_LONGEST = 400  # characters; messages start with the place and end with the cause


class CorpusError(ValueError):
    """A data set cannot be used; the message lists every kind of fault with examples."""


def legible(words: object) -> str:
    """Make untrusted text fit a message: valid UTF-8, and shortened in the middle if very long."""
    text = str(words).encode(errors="backslashreplace").decode()
    if len(text) <= _LONGEST:
        return text
    return f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 2 :]}"


class Faults:
    """The faults of a data set, grouped by the rule that is broken."""

    def __init__(self) -> None:
        self._examples: dict[str, list[str]] = {}

    def __bool__(self) -> bool:
        return bool(self._examples)

    def add(self, rule: str, example: str) -> None:
        """Record one fault: the rule, and where it does not hold and what was found instead."""
        example = legible(example)
        self._examples.setdefault(rule, []).append(example)

    def raise_any(self, source: object) -> None:
        """Raise if any fault was recorded; `source` names the data set in the message.

        Raises:
            CorpusError: If there are faults; gives at most `EXAMPLES` of each kind.
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
