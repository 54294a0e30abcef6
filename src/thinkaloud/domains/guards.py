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
    novelty       what the answer says beyond the question's own words: sentences built around keywords
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise

from thinkaloud.domains.wording import CONTENT, GRAM, Text, split_words

MIN_WORDS = 8
"""Shares of fewer words than this say nothing; the length measure holds such texts down."""

_CONSONANTS = re.compile(r"[^aeiouy']{6}|^[^aeiouy]*$")
_STOP_BEFORE_SMALL = re.compile(r"[.!?](?<=[a-z].) +[a-z]")
_CAPITAL_OR_BARE = re.compile(
    r" (?:(?<=[a-z] )(?:The|An?|It|He|She|They|We|In|On|At|And|But|Of|To|For|With|His|Her|This|That|There|When|As|If"
    r"|From|By|Then|Their|Its|Is|Was)(?![\w'’])"
    r"|(?:the|an?|my|your|his|her|its|our|their|every|of|from|into|and|or|with|at|is|was|to)[.!?,;:](?!\w))"
)
_PMI = (  # first word down, second word across, in the order of wording's classes
    (-4.1, -4.2, -3.4, -1.0, -3.8, -1.8, +0.6),  # determiner
    (+1.4, -2.5, -2.1, +0.1, -2.5, -1.7, -0.2),  # preposition
    (+0.3, -1.2, -1.2, +0.7, -0.2, -0.3, +0.0),  # conjunction
    (-1.1, -0.5, -0.3, -0.2, +1.4, -0.1, -0.1),  # pronoun
    (+0.3, -1.3, -1.4, -0.1, +0.6, +0.3, +0.0),  # auxiliary
    (+0.4, -0.5, -0.6, +0.3, +0.0, -0.3, +0.0),  # adverb
    (-0.4, +0.5, +0.5, +0.0, -0.3, +0.3, +0.0),  # content; two of them say nothing: lists are honest too
)


def ramp(value: float, zero: float, one: float) -> float:
    """0 up to `zero`, 1 from `one` on, linear between; `zero` may be above `one`.

    >>> ramp(0.5, 0.0, 1.0), ramp(0.9, 0.8, 0.4)
    (0.5, 0.0)
    """
    return min(1.0, max(0.0, (value - zero) / (one - zero)))


def repetition(text: Text) -> float:
    """1 where at least 65 % of the word 4-grams are distinct, 0 at 30 %."""
    if len(text.words) < MIN_WORDS:
        return 1.0
    return ramp(len(set(text.grams)) / len(text.grams), 0.30, 0.65)


def order(text: Text, zero: float = -0.7, one: float = -0.15) -> float:
    """1 where words follow one another as in English, 0 where they follow as if drawn at random.

    The statistic is z = (sum(PMI) - 2.5 m) / sqrt(n) over the n neighbouring pairs of words: PMI is the pointwise
    mutual information (nats) of the classes of the two in human-written text, m the number of capitals and sentence
    ends where none can stand. Shuffling a text takes its expected z below zero, and the longer the text the further.
    Of human-written answers about one in fifty falls below `one`.
    """
    if len(text.words) < MIN_WORDS:
        return 1.0
    total = sum(_PMI[kind][after] for kind, after in pairwise(text.kinds)) - 2.5 * misplaced_marks(text.raw)
    return ramp(total / (len(text.kinds) - 1) ** 0.5, zero, one)


def misplaced_marks(text: str) -> int:
    """How often a full stop is followed by a small letter, a plain word by "The" or "Of", or a bare "the" by a stop.

    >>> misplaced_marks("ran of. sea The the, she")
    4
    """
    return len(_STOP_BEFORE_SMALL.findall(text)) + len(_CAPITAL_OR_BARE.findall(text))


def rhythm(text: Text) -> float:
    """1 where content words stand side by side at least 16 % as often as chance would have it, 0 where they never do.

    In English they do so about nine times in ten that chance would.
    """
    share = text.kinds.count(CONTENT) / max(1, len(text.kinds))
    expected = (len(text.kinds) - 1) * share**2
    if len(text.words) < 2 * MIN_WORDS or expected < 3.0:
        return 1.0
    beside = sum(kind == after == CONTENT for kind, after in pairwise(text.kinds))
    return ramp(beside / expected, 0.0, 0.16)


def function_words(text: Text, zero: float, one: float) -> float:
    """1 where the share of function words is at least `one`, 0 at `zero`."""
    if len(text.words) < MIN_WORDS:
        return 1.0
    return ramp(1.0 - text.kinds.count(CONTENT) / len(text.kinds), zero, one)


def spelling(text: Text) -> float:
    """1 where at least 90 % of the words could be words, 0 at 60 %."""
    if len(text.words) < MIN_WORDS:
        return 1.0
    return ramp(sum(map(_could_be_word, text.words)) / len(text.words), 0.6, 0.9)


@lru_cache(maxsize=65_536)
def _could_be_word(word: str) -> bool:
    """False for more than 20 letters, six consonants in a row or no vowel, and letters mixed with digits at length."""
    if len(word) <= 3:
        return True
    if len(word) > 20:
        return False
    if not word.isascii() or word.isdigit():
        return True
    if any(ch.isdigit() for ch in word):
        return len(word) <= 5
    return not _CONSONANTS.search(word)


@lru_cache(maxsize=256)
def grams_of(text: str) -> frozenset[tuple[str, ...]]:
    """The word 4-grams of a text that many others are compared with."""
    words = split_words(text)
    return frozenset(zip(words, words[1:], words[2:], words[3:], strict=False))


def copied_share(text: Text, source: frozenset[tuple[str, ...]] | set[tuple[str, ...]]) -> float:
    """The share of the words of a text that stand inside a 4-gram of `source`."""
    if source.isdisjoint(text.grams):
        return 0.0
    covered = reach = 0
    for start, gram in enumerate(text.grams):
        if gram in source:
            covered += start + GRAM - max(start, reach)
            reach = start + GRAM
    return covered / len(text.words)
