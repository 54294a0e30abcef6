"""Classes of words, and how classes follow one another in English: what tells a text from its words in a heap.

A function word belongs to one of a few classes, every other word to one by its ending. `PMI` holds the pointwise
mutual information of neighbouring classes, log p(a, b) / (p(a) p(b)), counted over about a million words of stories,
news and answers that people wrote. Two content words beside one another say next to nothing: lists are honest too.
"""

from __future__ import annotations

from functools import lru_cache

_FUNCTION = {
    "a": "a an",
    "the": "the",
    "my": "my your his her its our their every whose",
    "of": "of",
    "in": "in on at into onto upon within inside",
    "with": "with from by for between among through during against without over under across beyond behind "
    "beneath beside near toward towards",
    "to": "to",
    "and": "and or nor",
    "but": "but so yet because although though while if unless until whereas than as when where since",
    "it's": "i'm it's he's she's they're we're you're that's there's",
    "he": "i he she we they you it who there someone everyone nobody nothing something everything anyone",
    "him": "me him us them myself yourself himself herself itself themselves ourselves here",
    "this": "this that these those which what whom how why",
    "all": "all both some any none many few more most another other such own same one each no",
    "is": "am is are was were isn't aren't wasn't weren't",
    "be": "be been being",
    "have": "do have don't i've we've you've",
    "has": "does did has had having doesn't didn't",
    "will": "can could will would shall should may might must can't couldn't wouldn't won't i'll we'll you'll "
    "they'll let let's not never",
    "up": "up down out off away back",
    "after": "about around before after",
    "then": "then now too very just only also even still again once ever soon always like almost often already",
}
"""Function words by class; a class bears the name of one of its words."""

_ENDINGS = ("ed", "ing", "ly", "s")

STOP, PAUSE = 0, 1
"""The classes of what ends a sentence or a line, and of commas and colons; both ends of a text are stops."""

ENDS = frozenset(".!?;\n")
PAUSES = frozenset(",:")

_CLASS_OF = {word: at for at, words in enumerate(_FUNCTION.values(), start=2) for word in words.split()}
_CLASS_OF |= dict.fromkeys(ENDS, STOP) | dict.fromkeys(PAUSES, PAUSE)

CONTENT = 2 + len(_FUNCTION)
"""From here on the classes of content words: by ending, the last for all without one of `_ENDINGS`."""

NUM_CLASSES = CONTENT + len(_ENDINGS) + 1

FUNCTION_WORDS = frozenset(word for words in _FUNCTION.values() for word in words.split())
DETERMINERS = frozenset(f"{_FUNCTION['a']} {_FUNCTION['the']} {_FUNCTION['my']}".split())

_ROWS = """
-40 -33 3 8 1 -30 -2 -5 -18 -10 9 18 15 -5 6 5 -22 -19 -2 -17 -7 -22 0 2 -16 -2 3 -3 1
-13 -40 -1 0 -2 -23 -9 -3 -15 13 13 12 10 -16 6 3 -7 -16 -4 -3 -4 -15 -2 4 -4 8 2 -4 0
-28 -35 -35 -40 -40 -40 -40 -38 -40 -40 -25 -34 -40 -16 -40 0 -40 -38 -36 -40 -27 -23 -37 -6 -3 2 4 -11 9
-40 -40 -40 -40 -40 -40 -40 -38 -40 -40 -35 -40 -40 -2 -40 5 -40 -40 -40 -40 -34 -15 -40 -10 -7 1 -5 5 8
-18 -24 -26 -40 -27 -40 -28 -23 -17 -22 -24 -24 -37 -38 -34 6 -31 -24 -34 -34 -20 -1 -15 -11 -9 -1 3 10 7
-35 -39 7 15 13 -40 -36 -33 -40 -39 -23 -15 -15 9 6 3 -40 -13 -40 -22 -26 -16 -12 -17 -13 4 -10 4 1
-18 -22 12 17 15 -35 -26 -16 -20 -19 -22 -20 -17 5 6 4 -32 -33 -40 -32 -18 -27 -7 -15 -23 -3 -10 -5 1
-20 -25 13 15 15 -40 -21 -17 -21 -23 -16 -13 -8 14 4 9 -34 -13 -39 -17 -23 -20 -8 -7 -15 7 -7 0 -1
-28 -35 2 6 6 -40 -34 -28 -40 -32 -14 -20 -15 9 -6 -2 -40 20 15 -27 -14 -15 -23 -14 -25 -7 -1 -12 6
-35 -27 1 1 3 -36 -12 -10 -18 -34 -4 6 3 -16 -2 5 -2 -12 1 1 2 -9 -6 6 6 6 7 4 3
-21 -14 10 7 5 -6 -10 -14 -13 -39 -2 19 20 -8 4 6 -12 -6 -4 -4 -2 -27 -8 6 -4 3 1 -5 -4
-33 -40 13 -3 -3 -32 -5 -9 -32 -34 1 -5 -11 7 5 7 -26 10 -19 -17 18 3 5 19 3 16 16 -13 -2
-6 -13 -20 -32 -32 -36 -13 -11 -8 -15 -13 -19 -16 -17 -16 -9 21 -16 19 20 22 -2 -7 9 13 -17 4 -5 -3
12 8 -1 -13 -8 -16 6 7 11 4 6 -3 -6 -9 2 -3 6 -11 -4 -2 -9 16 7 5 -10 -6 0 -10 -10
-10 -12 -8 -2 -2 -18 -16 -14 -5 -22 -9 9 12 -21 -5 1 16 -17 8 12 14 -16 -5 -3 2 -8 0 6 -2
-3 -9 -12 -11 -11 14 -11 -9 -16 -13 12 -11 -15 -18 -5 6 -10 -15 -10 -9 -6 -10 2 -8 -3 -2 4 9 1
-21 -17 15 2 -8 -30 -3 -10 -4 -37 -5 -29 -6 -11 0 10 -33 -1 -39 -21 8 -5 -2 17 16 11 17 -13 -3
-16 -21 9 -3 -9 -22 -2 -8 -18 -33 -10 -14 -18 -7 -18 3 -36 -23 -26 -19 -25 2 -1 -2 24 10 9 -14 -1
-9 -15 10 -6 0 -40 -14 -8 7 -17 -6 -19 5 -4 2 8 -20 28 8 1 10 -25 -13 9 15 -13 3 -14 -3
-18 -22 10 -9 -3 -40 -22 -21 3 -28 -7 -10 -3 -13 -7 6 -33 30 2 -4 14 -25 -13 12 18 -24 6 -17 -3
-16 -21 -9 -16 -15 -29 -20 -22 -11 -24 -11 -18 -5 1 -14 -8 -39 30 23 -9 10 -9 -12 16 -2 -4 11 -22 3
4 3 3 4 9 13 14 13 14 6 3 -7 -9 1 0 -2 -17 -22 -20 -21 -22 2 7 0 -26 -7 -5 -13 -14
-8 -11 9 12 14 -32 -15 -16 -8 -12 -11 -4 9 17 9 3 -24 9 -17 -7 -22 -20 -6 -10 -31 17 -4 -7 -4
-3 -1 6 -5 -5 -40 -4 -6 -3 -16 4 2 2 -3 2 5 -13 13 8 7 -6 -11 4 5 10 6 6 -4 0
-1 -2 2 1 7 -9 13 15 14 -1 4 -12 -7 11 1 -4 -20 -36 -23 -21 -21 15 10 -5 -3 -3 1 -1 -3
0 0 5 3 8 -3 8 7 10 1 -3 -13 -5 10 2 -2 -5 -33 -24 -12 -12 15 7 -7 -3 -3 -2 1 -3
0 5 -7 -11 -15 -10 2 2 -1 0 1 -6 -7 -11 -6 -7 -10 3 3 2 -3 -3 3 -4 1 1 -3 -2 -1
8 8 -10 -13 -12 9 7 6 5 8 0 -15 -7 -6 3 -5 6 -17 7 0 2 1 7 -1 -2 -3 -3 -3 -3
7 7 -9 -10 -6 7 3 3 4 4 -1 -11 -7 -1 -1 -9 1 -19 -10 2 -6 3 1 -7 -3 -3 -3 1 -2
"""

PMI = tuple(int(entry) / 10 for entry in _ROWS.split())
"""In nats, row by row: class a before class b at `a * NUM_CLASSES + b`."""


@lru_cache(maxsize=65_536)
def class_of(token: str) -> int:
    """The class of a lower-case word, sentence end or pause."""
    known = _CLASS_OF.get(token)
    if known is not None:
        return known
    for at, ending in enumerate(_ENDINGS):
        if len(token) >= 4 + (len(ending) > 1) and token.endswith(ending) and not token.endswith("ss"):
            return CONTENT + at
    return NUM_CLASSES - 1
