"""Signs that a text was made for the measure and not for a reader.

Each guard is a factor in [0, 1]: 1 over the range that honest English covers, falling to 0 where only made-up text
goes. The two ends were set on some 4,900 human-written stories, idea lists and summaries of public data sets, and on
the same texts with their words shuffled.

    repetition    share of distinct word 4-grams: one sentence said again and again
    order         how words follow one another, and where capitals and full stops stand: shuffled or random words
    rhythm        content words side by side: function words and keywords in turn, "the X of the Y and the Z of the ..."
    function      share of function words: keyword lists, words from a dictionary, gibberish
    spelling      share of words that could be words: letters typed at random
    copying       share of words inside 4-grams that stand in another text: the prompt, the article, the answer itself
    density       share of content words that are the question's: sentences built around keywords
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from thinkaloud.domains.wording import (
    ADVERBS,
    AUXILIARIES,
    CONJUNCTIONS,
    DETERMINERS,
    FUNCTION_WORDS,
    PREPOSITIONS,
    PRONOUNS,
)

Ngrams = frozenset[tuple[str, ...]]

MIN_WORDS = 8
"""Shares of fewer words than this say nothing; the length measure holds such texts down."""

COPY_WIDTH = 4
_CONSONANTS = re.compile(r"[^aeiouy']{5}")

MAX_CHARS = 10_000
"""Marks are looked for in no more text than this."""

_MISPLACED = (
    re.compile(r"[a-z][.!?] +[a-z]"),
    re.compile(
        r"[a-z] +(?:The|An?|It|He|She|They|We|In|On|At|And|But|Of|To|For|With|His|Her|This|That|There|When|As|If|From"
        r"|By|Then|Their|Its|Is|Was)(?![\w'’])"
    ),
    re.compile(
        r"(?<![\w'’])(?:the|an?|my|your|his|her|its|our|their|every|of|from|into|and|or|with|at|is|was|to)[.!?,;:](?!\w)"
    ),
)
_CLASSES = (DETERMINERS, PREPOSITIONS, CONJUNCTIONS, PRONOUNS, AUXILIARIES, ADVERBS)
_OTHER = len(_CLASSES)
_CLASS_OF = {word: index for index in reversed(range(_OTHER)) for word in _CLASSES[index]}
_PMI = (  # first word down, second word across, in the order of _CLASSES and then all other words
    (-4.1, -4.2, -3.4, -1.0, -3.8, -1.8, +0.6),  # determiner
    (+1.4, -2.5, -2.1, +0.1, -2.5, -1.7, -0.2),  # preposition
    (+0.3, -1.2, -1.2, +0.7, -0.2, -0.3, +0.0),  # conjunction
    (-1.1, -0.5, -0.3, -0.2, +1.4, -0.1, -0.1),  # pronoun
    (+0.3, -1.3, -1.4, -0.1, +0.6, +0.3, +0.0),  # auxiliary
    (+0.4, -0.5, -0.6, +0.3, +0.0, -0.3, +0.0),  # adverb
    (-0.4, +0.5, +0.5, +0.0, -0.3, +0.3, +0.0),  # other; two others say nothing: lists are honest too
)


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


def order(words: Sequence[str], text: str, zero: float = -0.7, one: float = -0.15) -> float:
    """1 where words follow one another as in English, 0 where they follow as if drawn at random.

    The statistic is z = (sum(PMI) - 2.5 m) / sqrt(n) over the n neighbouring pairs of words: PMI is the pointwise
    mutual information (nats) of the classes of the two in human-written text, m the number of capitals and sentence
    ends where none can stand. Shuffling a text takes its expected z below zero, and the longer the text the further.
    Of human-written answers about one in fifty falls below `one`.
    """
    if len(words) < MIN_WORDS:
        return 1.0
    kinds = [_CLASS_OF.get(word, _OTHER) for word in words]
    total = sum(_PMI[kind][after] for kind, after in pairwise(kinds)) - 2.5 * misplaced_marks(text)
    return ramp(total / (len(kinds) - 1) ** 0.5, zero, one)


def misplaced_marks(text: str) -> int:
    """How often a lower-case word follows a full stop, a capital The or Of a plain word, or a stop a bare "the"."""
    head = text[:MAX_CHARS]
    return sum(1 for pattern in _MISPLACED for _ in pattern.finditer(head))


def rhythm(words: Sequence[str]) -> float:
    """1 where content words stand side by side at least 16 % as often as chance would have it, 0 where they never do.

    In English they do so about nine times in ten that chance would.
    """
    if len(words) < 2 * MIN_WORDS:
        return 1.0
    content = [word not in FUNCTION_WORDS for word in words]
    expected = (len(words) - 1) * (sum(content) / len(words)) ** 2
    if expected < 3.0:
        return 1.0
    return ramp(sum(a and b for a, b in pairwise(content)) / expected, 0.0, 0.16)


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
    """False for a word that is very long, holds five consonants in a row, or mixes letters and digits at length."""
    if len(word) > 20:
        return False
    if not word.isascii() or len(word) <= 3 or word.isdigit():
        return True
    if any(ch.isdigit() for ch in word):
        return len(word) <= 5
    return not _CONSONANTS.search(word)


def ngrams(words: Sequence[str], width: int = COPY_WIDTH) -> Ngrams:
    return frozenset(tuple(words[i : i + width]) for i in range(len(words) - width + 1))


def copied_share(words: Sequence[str], source: Ngrams) -> float:
    """The share of the words of a text that stand inside an n-gram of `source`."""
    covered = reach = 0
    for start in range(len(words) - COPY_WIDTH + 1):
        if tuple(words[start : start + COPY_WIDTH]) in source:
            end = start + COPY_WIDTH
            covered += end - max(start, reach)
            reach = end
    return covered / max(1, len(words))
