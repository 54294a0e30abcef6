"""Short answers compared as text: case, articles, punctuation and plural set aside.

Four levels, each looser than the one before. Comparisons use the loosest level at which the things to be told apart
(the options of a question) stay apart.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

LEVELS = ("cased", "caseless", "words", "stems")

MAX_CHARS = 2_000
"""Short answers are short: of anything longer only this much is read."""

_ARTICLES = frozenset({"a", "an", "the"})
_WORD = re.compile(r"[-+]?\d+(?:,\d{3})*(?:\.\d+)?|[^\W_]+(?:['’][^\W_]+)*[-+]?(?![^\W_])|[^\W_]+|[%°=<>/^*+]")
_LEAD_IN = re.compile(
    r"^(?:(?:so|thus|therefore|hence)\s+)?(?:(?:the|my|final|correct|right|best)\s+)*"
    r"(?:(?:answer|option|choice)\s+(?:is|would\s+be)|answer)\s*:?\s+"
    r"|^(?:it|this|that|they|these)(?:['’]s|\s+is|\s+are)(?:\s+(?:called|known\s+as))?\s+",
    re.IGNORECASE,
)
_SMALL = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_NUMBER_WORDS = {word: str(value) for value, word in enumerate(_SMALL)}


def plain(text: str) -> str:
    """`text` in NFC, white space collapsed, markdown emphasis, quotes and the closing full stop off."""
    flat = " ".join(unicodedata.normalize("NFC", text[:MAX_CHARS]).split())
    return flat.strip("*_`\"'“”‘’ ").rstrip(".!;, ").strip("*_`\"'“”‘’ ")


def words(text: str) -> tuple[str, ...]:
    """Case-folded words without articles; signs and decimals stay with their numbers, small number words are digits.

    >>> words("The -2 charge")
    ('-2', 'charge')
    """
    found = _WORD.findall(plain(text).casefold().replace("’", "'"))
    kept = [_NUMBER_WORDS.get(word, word.replace(",", "")) for word in found if word not in _ARTICLES]
    return tuple(kept or found)


def singular(word: str) -> str:
    """A rough singular of an English noun: both sides of a comparison pass through it, so it need only be steady."""
    if len(word) <= 3 or not word.isalpha() or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(("ses", "xes", "zes", "ches", "shes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") else word


def normal(text: str, level: str) -> tuple[str, ...]:
    """The form of `text` that is compared at a level of `LEVELS`."""
    if level == "cased":
        return (plain(text),)
    if level == "caseless":
        return (plain(text).casefold(),)
    found = words(text)
    return found if level == "words" else tuple(singular(word) for word in found)


def loosest_level(texts: Sequence[str]) -> str:
    """The loosest level that keeps apart every two of `texts` which differ at the level `cased`."""
    distinct = len({normal(text, "cased") for text in texts})
    for level in reversed(LEVELS):
        if len({normal(text, level) for text in texts}) == distinct:
            return level
    return "cased"


def without_lead_in(text: str) -> str:
    """`text` without an opening such as "The answer is" or "It is called"."""
    flat = plain(text)
    return plain(_LEAD_IN.sub("", flat, count=1)) or flat


def same_short_text(answer: str, gold: str) -> bool:
    """True where two short free-text answers say the same; equality, never containment, so that lists earn nothing."""
    if len(answer) > MAX_CHARS:
        return False
    target = normal(gold, "stems")
    return bool(target) and target in (normal(answer, "stems"), normal(without_lead_in(answer), "stems"))
