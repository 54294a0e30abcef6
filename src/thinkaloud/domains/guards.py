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
    in step       content words in the source's order: a copy with words dropped or put in
    one word      one content word again and again
    vague         words that fit every text: a canned answer with the prompt's words in its gaps
    novelty       what the answer says beyond the question's own words: sentences built around keywords
"""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from itertools import pairwise
from operator import and_

from thinkaloud.domains.vague import VAGUE
from thinkaloud.domains.word_classes import NUM_CLASSES, PMI
from thinkaloud.domains.wording import GRAM, Text, content_stems, split_words

MIN_WORDS = 8
"""Shares of fewer words than this say nothing; the length measure holds such texts down."""

MAX_PLACES = 8
"""A stem that a source holds more often is looked for in its first places."""

_CONSONANTS = re.compile(r"[^aeiouy']{6}|^[^aeiouy]*$")
_STOP_BEFORE_SMALL = re.compile(r"[.!?](?<=[a-z].) +[a-z]")
_CAPITAL_OR_BARE = re.compile(
    r" (?:(?<=[a-z] )(?:The|An?|It|He|She|They|We|In|On|At|And|But|Of|To|For|With|His|Her|This|That|There|When|As|If"
    r"|From|By|Then|Their|Its|Is|Was)(?![\w'’])"
    r"|(?:the|an?|my|your|his|her|its|our|their|every|of|from|into|and|or|with|at|is|was|to)[.!?,;:](?!\w))"
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


def order(text: Text, zero: float = -0.4, one: float = 0.3, sure: float = 1.0) -> float:
    """1 where words follow one another as in English, 0 where they follow as if drawn at random.

    The statistic is z = (sum(PMI) - 2.5 m) / sqrt(n) over the n neighbouring pairs of words and marks: PMI is the
    pointwise mutual information (nats) of the classes of the two (`word_classes`), m the number of capitals and
    sentence ends where none can stand. Shuffling a text takes its expected z below zero, and the longer the text the
    further. Of human-written answers about one in twenty falls below `one`; a few shuffled ones get there by chance,
    and so the last tenth is given only up to `sure`, which most human-written answers reach.
    """
    if len(text.words) < MIN_WORDS:
        return 1.0
    total = sum([PMI[kind * NUM_CLASSES + after] for kind, after in pairwise(text.classes)])
    z = (total - 2.5 * misplaced_marks(text.raw)) / (len(text.classes) - 1) ** 0.5
    return ramp(z, zero, one) * (0.9 + 0.1 * ramp(z, one, sure))


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
    share = sum(text.content) / max(1, len(text.content))
    expected = (len(text.content) - 1) * share**2
    if len(text.words) < 2 * MIN_WORDS or expected < 3.0:
        return 1.0
    beside = sum(map(and_, text.content, text.content[1:]))
    return ramp(beside / expected, 0.0, 0.16)


def function_words(text: Text, zero: float, one: float) -> float:
    """1 where the share of function words is at least `one`, 0 at `zero`."""
    if len(text.words) < MIN_WORDS:
        return 1.0
    return ramp(1.0 - sum(text.content) / len(text.content), zero, one)


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


def one_word(text: Text) -> float:
    """1 where no content word makes up more than 25 % of them, 0 at 45 %: the same word put in again and again."""
    if len(text.stems) < MIN_WORDS:
        return 1.0
    return ramp(max(Counter(text.stems).values()) / len(text.stems), 0.45, 0.25)


def vague(text: Text, known: frozenset[str], zero: float = 0.75, one: float = 0.5) -> float:
    """1 where at most a share `one` of the content words beyond the question's fit every text, 0 from `zero` on.

    Args:
        text: the answer.
        known: the question's stems, which are set aside.
    """
    own = [stem for stem in text.stems if stem not in known]
    if len(text.words) < MIN_WORDS or len(own) < MIN_WORDS // 2:
        return 1.0
    return ramp(sum(stem in VAGUE for stem in own) / len(own), zero, one)


def in_step(text: Text, source: str) -> float:
    """The share of content words that follow the one before them as in `source`, at most two words of it left out.

    Copying goes on where some words are dropped, put in or inflected; 4-grams do not see that.
    """
    if len(text.words) < MIN_WORDS or not text.stems:
        return 0.0
    places = _places(source)
    before: tuple[int, ...] = ()
    steps = 0
    for stem in text.stems:
        here = places.get(stem)
        if here is not None:
            steps += any(0 < at - last <= 3 for at in here for last in before)
            before = here
    return steps / len(text.stems)


@lru_cache(maxsize=256)
def _places(source: str) -> dict[str, tuple[int, ...]]:
    """Where each content stem of a text stands among them: its first places only, so that all stays linear."""
    found: dict[str, list[int]] = {}
    for at, stem in enumerate(content_stems(split_words(source))):
        found.setdefault(stem, []).append(at)
    return {stem: tuple(places[:MAX_PLACES]) for stem, places in found.items()}


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
