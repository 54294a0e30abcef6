"""Words of a text: tokens, their classes, stems. English only; the graded domains say so."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

MAX_CHARS = 12_000
"""Measures look at no more of a text than this; the words of the rest are only counted."""

WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
"""A word is a run of letters and digits, apostrophes inside it included."""

ENDS = frozenset(".!?;\n")
"""What ends a sentence, or a line of a poem or a list."""

_TOKEN = re.compile(rf"{WORD.pattern}|[.!?;\n]")

GRAM = 4
"""The width of word n-grams."""


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

_CLASSES = (DETERMINERS, PREPOSITIONS, CONJUNCTIONS, PRONOUNS, AUXILIARIES, ADVERBS)
CONTENT = len(_CLASSES)
"""The class of every word that is no function word; those have the place of their set in the row above."""

_CLASS_OF = {word: index for index in reversed(range(CONTENT)) for word in _CLASSES[index]}

INSTRUCTION_WORDS = _set(
    "write story stories poem poems poetry haiku limerick tale short brief briefly describe description give list idea "
    "ideas suggest suggestion summarize summarise summary sentence sentences word words paragraph paragraphs line "
    "lines name names make create compose come think tell explain following text article passage please using use "
    "include including dialogue opening title first two three four five six seven eight nine ten some several "
    "different example examples prompt wp brainstorm propose provide way ways thing things scene"
    " invent imagine"
)
"""Words of a question that say what kind of text is wanted, not what it is to be about."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text, read once for all measures.

    `raw` is its beginning, `tokens` its lower-case words and sentence ends, `words` the words alone, `kinds` their
    classes, `grams` its word 4-grams; `num_words` counts the words of all of it.
    """

    raw: str
    tokens: list[str]
    words: list[str]
    kinds: list[int]
    grams: list[tuple[str, ...]]
    num_words: int

    @classmethod
    def read(cls, text: str) -> Text:
        tokens = _tokens(text)
        words = [token for token in tokens if token not in ENDS]
        return cls(
            raw=text[:MAX_CHARS],
            tokens=tokens,
            words=words,
            kinds=[_CLASS_OF.get(word, CONTENT) for word in words],
            grams=list(zip(words, words[1:], words[2:], words[3:], strict=False)),
            num_words=len(words) if len(text) <= MAX_CHARS else sum(1 for _ in WORD.finditer(text)),
        )


def _tokens(text: str) -> list[str]:
    """Lower-case words and sentence ends of a text's beginning, apostrophes straightened, words cut to 40 letters."""
    tokens = _TOKEN.findall(text[:MAX_CHARS].lower().replace("’", "'"))
    if max(map(len, tokens), default=0) > 40:
        tokens = [token[:40] for token in tokens]
    return tokens


def split_words(text: str) -> list[str]:
    """The words of a text's beginning, as in `Text`."""
    return [token for token in _tokens(text) if token not in ENDS]


@lru_cache(maxsize=256)
def count_words(text: str) -> int:
    """How many words a text has, all of them."""
    return sum(1 for _ in WORD.finditer(text))


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """A rough stem: inflections of one word should meet, and that is all.

    Differs from Porter's: one suffix is taken off, by length alone.

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
