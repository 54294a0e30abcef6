"""Words of a text: tokens, their classes, stems. English only; the graded domains say so."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from thinkaloud.domains.word_classes import CONTENT, FUNCTION_WORDS, PAUSE, STOP, class_of

MAX_CHARS = 12_000
"""Measures look at no more of a text than this; the words of the rest are only counted."""

WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
"""A word is a run of letters and digits, apostrophes inside it included."""

_TOKEN = re.compile(rf"{WORD.pattern}|[.!?;\n,:]")

GRAM = 4
"""The width of word n-grams."""


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


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

    raw: its beginning, of which all but `num_words` is read.
    tokens: lower-case words, sentence ends and pauses; `classes`: theirs, with runs of sentence ends as one.
    words: the words alone; `content`: whether each carries meaning; `stems`: of those that do; `grams`: word 4-grams.
    num_words: how many words all of it has.
    """

    raw: str
    tokens: list[str]
    words: list[str]
    classes: list[int]
    content: list[bool]
    stems: list[str]
    grams: list[tuple[str, ...]]
    num_words: int

    @classmethod
    def read(cls, text: str) -> Text:
        tokens = _tokens(text)
        kinds = [class_of(token) for token in tokens]
        words = [token for token, kind in zip(tokens, kinds, strict=True) if kind > PAUSE]
        marked = [*kinds, STOP]
        return cls(
            raw=text[:MAX_CHARS],
            tokens=tokens,
            words=words,
            classes=[STOP, *(kind for before, kind in zip([STOP, *kinds], marked, strict=True) if before or kind)],
            content=[kind >= CONTENT for kind in kinds if kind > PAUSE],
            stems=content_stems(words),
            grams=list(zip(words, words[1:], words[2:], words[3:], strict=False)),
            num_words=len(words) if len(text) <= MAX_CHARS else sum(1 for _ in WORD.finditer(text)),
        )


def _tokens(text: str) -> list[str]:
    """Lower-case words, ends and pauses of a text's beginning, apostrophes straightened, words cut to 40 letters."""
    tokens = _TOKEN.findall(text[:MAX_CHARS].lower().replace("’", "'"))
    if max(map(len, tokens), default=0) > 40:
        tokens = [token[:40] for token in tokens]
    return tokens


def split_words(text: str) -> list[str]:
    """The words of a text's beginning, as in `Text`."""
    return [token for token in _tokens(text) if class_of(token) > PAUSE]


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
