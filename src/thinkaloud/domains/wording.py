"""Words of a text: tokens, function words, stems. English only; the graded domains say so."""

from __future__ import annotations

import re
from functools import lru_cache

MAX_WORDS = 1_500
"""Measures look at no more words than this; the rest of a longer text is only counted."""

WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
"""A word is a run of letters and digits, apostrophes inside it included."""


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


DETERMINERS = _set("a an the my your his her its our their every")
PREPOSITIONS = _set(
    "of in at from with for into onto upon without between among through during against toward towards by on under "
    "over beneath beside behind across beyond near within"
)
CONJUNCTIONS = _set("and or but nor so yet because although though while if unless until whereas than as")
PRONOUNS = _set(
    "i me you he him she it we us they them myself yourself himself herself itself ourselves themselves who whom whose "
    "which that this these those what there here someone something everyone everything anyone anything nobody nothing "
    "one each all both some any none many few more most other another such own same"
)
AUXILIARIES = _set(
    "am is are was were be been being do does did have has had having can could will would shall should may might must "
    "not no never don't doesn't didn't isn't aren't wasn't weren't won't can't couldn't wouldn't i'm it's he's she's "
    "they're we're you're i'll we'll you'll they'll i've we've you've that's there's let"
)
ADVERBS = _set(
    "to up down out off away back then now when where why how too very just only also even still again once ever soon "
    "always about around before after like let's"
)
FUNCTION_WORDS = DETERMINERS | PREPOSITIONS | CONJUNCTIONS | PRONOUNS | AUXILIARIES | ADVERBS

INSTRUCTION_WORDS = _set(
    "write story stories poem poems poetry haiku limerick tale short brief briefly describe description give list idea "
    "ideas suggest suggestion summarize summarise summary sentence sentences word words paragraph paragraphs line "
    "lines name names make create compose come think tell explain following text article passage please using use "
    "include including dialogue opening title first two three four five six seven eight nine ten some several "
    "different example examples prompt wp brainstorm propose provide way ways thing things scene"
    " invent imagine"
)
"""Words of a question that say what kind of text is wanted, not what it is to be about."""


def split_words(text: str) -> list[str]:
    """Lower-case words of a text, apostrophes straightened, cut to 40 letters; at most `MAX_WORDS` of them."""
    found = []
    for match in WORD.finditer(text):
        found.append(match[0][:40].lower().replace("’", "'"))
        if len(found) == MAX_WORDS:
            break
    return found


def count_words(text: str) -> int:
    """How many words a text has, all of them."""
    return sum(1 for _ in WORD.finditer(text))


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """A rough stem: inflections of one word should meet, and that is all.

    >>> [stem(w) for w in ("stories", "story", "running", "runs", "baked", "bakes")]
    ['story', 'story', 'run', 'run', 'bak', 'bak']
    """
    word = word.removesuffix("'s")
    if len(word) > 4 and word.endswith(("ies", "ied")):
        return word[:-3] + "y"
    for suffix in ("ingly", "edly", "ing", "ers", "er", "ed", "es", "ly", "s"):
        base = word[: -len(suffix)]
        if word.endswith(suffix) and len(base) >= 3 and not word.endswith("ss"):
            word = base
            break
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiouls":
        word = word[:-1]
    return word[:-1] if len(word) > 3 and word.endswith("e") else word


def content_stems(words: list[str]) -> list[str]:
    """Stems of the words that carry meaning, in order, repeats kept."""
    return [stem(word) for word in words if word not in FUNCTION_WORDS and len(word) > 2]


@lru_cache(maxsize=4_096)
def question_stems(question: str) -> frozenset[str]:
    """What a question is about: its content stems without the words that only ask for a kind of text."""
    words = [word for word in split_words(question) if word not in INSTRUCTION_WORDS]
    return frozenset(content_stems(words))
