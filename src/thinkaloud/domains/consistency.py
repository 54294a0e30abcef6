"""Whether the reasoning comes to the answer that is given.

The last value of the reasoning (its last number, the option or the polarity that its last telling sentence names) is
compared with the answer's. A metric of evaluations, never a reward: it says nothing about which of the two is right.
Each function returns None where it cannot be told.
"""

from __future__ import annotations

import re

from thinkaloud.domains.choices import options_shown, resolve_answer
from thinkaloud.domains.polarity import NO, YES, read_polarity
from thinkaloud.domains.values.compare import compare
from thinkaloud.domains.values.kinds import Number
from thinkaloud.domains.values.question import read_question
from thinkaloud.domains.values.reader import read

MAX_CHARS = 4_000
"""The end of the reasoning that is read, and the longest answer."""
MAX_SENTENCES = 20

_NUMERAL = re.compile(r"(?<![\w.])[-−+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:\s*/\s*\d+(?![\w/]))?(?![\w^])")
_SENTENCE = re.compile(r"(?<=[.!?;])\s+|\n+")
_POLAR = re.compile(rf"\b(?:{'|'.join(sorted(YES | NO))})\b", re.IGNORECASE)


def by_number(question: str, reasoning: str, answer: str) -> bool | None:
    """Whether the last number of the reasoning is the only number of the answer.

    >>> by_number("What is 2 + 3?", "First 2, then 3 more, which makes 5.", "The sum is 5.0")
    True
    """
    said, reached = _NUMERAL.findall(answer[:MAX_CHARS]), _NUMERAL.findall(reasoning[-MAX_CHARS:])
    if len(said) != 1 or not reached:
        return None
    value, last = read(said[0]), read(reached[-1])
    if not isinstance(value, Number) or not isinstance(last, Number):
        return None
    return not compare(last, value, read_question(""))


def by_option(question: str, reasoning: str, answer: str) -> bool | None:
    """Whether the option that the reasoning names last is the answer's; the options are read from the question."""
    options = options_shown(question)
    if len(options) < 2:
        return None
    said = resolve_answer(answer, options).index
    for sentence in _from_the_end(reasoning):
        reached = resolve_answer(sentence, options).index
        if reached is not None:
            return None if said is None else reached == said
    return None


def by_polarity(question: str, reasoning: str, answer: str) -> bool | None:
    """Whether the last sentence of the reasoning that says yes or no says what the answer says."""
    if options_shown(question):
        return by_option(question, reasoning, answer)
    said = read_polarity(answer[:MAX_CHARS]).value
    for sentence in _from_the_end(reasoning):
        if _POLAR.search(sentence) and (reached := read_polarity(sentence).value) is not None:
            return None if said is None else reached == said
    return None


def _from_the_end(reasoning: str) -> list[str]:
    """The last sentences, the last one first."""
    found = [sentence for sentence in _SENTENCE.split(reasoning[-MAX_CHARS:]) if sentence.strip()]
    return found[: -MAX_SENTENCES - 1 : -1]
