"""Signs that a text was made for the measure and not for a reader.

Each guard is a factor in [0, 1]: 1 over the whole range that honest English covers, falling to 0 where only made-up
text goes. The two ends of each were set on human-written answers: stories, brainstorming lists, summaries.

    repetition    share of distinct word 4-grams: one sentence said again and again
    grammar       determiners and prepositions that another function word follows: shuffled words, random words
    function      share of function words: keyword lists, words from a dictionary, gibberish
    spelling      share of words that could be words: letters typed at random
    copying       share of word 5-grams that stand in another text: the prompt, the article, the answer itself
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from thinkaloud.domains.wording import (
    AUXILIARIES,
    CONJUNCTIONS,
    DETERMINERS,
    FUNCTION_WORDS,
    PREPOSITIONS,
)

Ngrams = frozenset[tuple[str, ...]]

MIN_WORDS = 8
"""Shares of fewer words than this say nothing; the length measure holds such texts down."""

COPY_WIDTH = 5
_NO_NOUN = DETERMINERS | CONJUNCTIONS | AUXILIARIES
_VOWELS = frozenset("aeiouyàáâäæèéêëìíîïòóôöøùúûüœ")


def ramp(value: float, zero: float, one: float) -> float:
    """0 up to `zero`, 1 from `one` on, linear between; `zero` may be above `one`.

    >>> ramp(0.5, 0.0, 1.0), ramp(0.9, 0.8, 0.4)
    (0.5, 0.0)
    """
    return min(1.0, max(0.0, (value - zero) / (one - zero)))


def repetition(words: Sequence[str]) -> float:
    """1 where at least 65 % of the word 4-grams are distinct, 0 at 30 %."""
    if len(words) < MIN_WORDS:
        return 1.0
    grams = [tuple(words[i : i + 4]) for i in range(len(words) - 3)]
    return ramp(len(set(grams)) / len(grams), 0.30, 0.65)


def grammar(words: Sequence[str]) -> float:
    """1 where at most 12 % of determiners and prepositions stand before a word that cannot follow, 0 at 35 %.

    In English no conjunction, auxiliary or second determiner follows a determiner, and neither a conjunction nor an
    auxiliary follows a preposition. Among shuffled words about one in three does.
    """
    slots = misfits = 0
    for word, after in pairwise(words):
        if word in DETERMINERS:
            slots += 1
            misfits += after in _NO_NOUN or after in PREPOSITIONS
        elif word in PREPOSITIONS:
            slots += 1
            misfits += after in CONJUNCTIONS or after in AUXILIARIES
    return 1.0 if slots < 4 else ramp(misfits / slots, 0.35, 0.12)


def function_words(words: Sequence[str], zero: float, one: float) -> float:
    """1 where the share of function words is at least `one`, 0 at `zero`."""
    if len(words) < MIN_WORDS:
        return 1.0
    return ramp(sum(word in FUNCTION_WORDS for word in words) / len(words), zero, one)


def spelling(words: Sequence[str]) -> float:
    """1 where at least 90 % of the words have vowels, no long runs of consonants and a sane length, 0 at 60 %."""
    if len(words) < MIN_WORDS:
        return 1.0
    return ramp(sum(_could_be_word(word) for word in words) / len(words), 0.6, 0.9)


def _could_be_word(word: str) -> bool:
    if not word.isascii():
        return len(word) <= 25
    run = longest = 0
    for ch in word:
        run = 0 if ch in _VOWELS or ch == "'" else run + 1
        longest = max(longest, run)
    return (len(word) <= 20 and longest <= 4) or len(word) <= 3 or (longest <= 5 and run < 5 and len(word) <= 20)


def ngrams(words: Sequence[str], width: int = COPY_WIDTH) -> Ngrams:
    return frozenset(tuple(words[i : i + width]) for i in range(len(words) - width + 1))


def copied_share(words: Sequence[str], source: Ngrams, width: int = COPY_WIDTH) -> float:
    """The share of the word n-grams of a text that stand in `source`."""
    total = len(words) - width + 1
    if total <= 0 or not source:
        return 0.0
    return sum(tuple(words[i : i + width]) in source for i in range(total)) / total
