"""Short free-text answers: equal but for case, articles, punctuation, plural and markup.

Four levels, each looser than the one before. Comparisons use the loosest level at which the things to be told apart
(the options of a question) stay apart. Signs, decimal points, relations and units are never set aside.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from thinkaloud.domains.markup import unwrapped
from thinkaloud.domains.text import MAX_CHARS, plain, singular, without_lead_in

LEVELS = ("cased", "caseless", "words", "stems")

_ARTICLES = frozenset({"a", "an", "the"})
_TOKEN = re.compile(
    r"(?:(?<![\w)])[-+])?(?:\d+(?:,\d{3})*(?:\.\d+)?|(?<!\w)\.\d+)(?![^\W\d_])"
    r"|\d*[^\W\d_][^\W_]*(?:['’][^\W_]+)*[-+]?(?![^\W_])"  # a word, with its charge: Na+, Ca2+
    r"|[^\W_]+"
    r"|(?<![\w)])-(?=[^\W\d_])|(?<=\d)-(?=\d)"  # a sign before a word; a range or a difference
    r"|[%°=<>/^*+≤≥≠≈~±→$€£]"
)
_SMALL = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_NUMBER_WORDS = {word: str(value) for value, word in enumerate(_SMALL)}
_NUMBER = re.compile(r"([-+]?)(\d*)(?:\.(\d*))?")


@dataclass(frozen=True, slots=True)
class Token:
    """A word in the form that is compared, and where it stands in the text (`start`, `end`)."""

    word: str
    start: int
    end: int


def tokens(text: str) -> list[Token]:
    """The words, numbers and signs of a text in plain form; articles are left out.

    "A" is an article only before a word, and in capitals only where it opens the text, or all of it is in capitals:
    that of "vitamin A" is a name.
    """
    found = list(_TOKEN.finditer(text))
    capitals = text.isupper()
    kept = []
    for index, match in enumerate(found):
        word = match[0]
        before_word = index + 1 < len(found) and text[match.end()].isspace()
        if word.casefold() in _ARTICLES and before_word and (index == 0 or word != "A" or capitals):
            continue
        kept.append(Token(_canonical(word.casefold().replace("’", "'")), match.start(), match.end()))
    return kept or [Token(match[0].casefold(), match.start(), match.end()) for match in found]


def _canonical(word: str) -> str:
    """A number without thousands commas and needless zeros, a small number word as digits; else the word."""
    if word in _NUMBER_WORDS:
        return _NUMBER_WORDS[word]
    number = _NUMBER.fullmatch(word.replace(",", ""))
    if not number or not (number[2] or number[3]):
        return word
    whole, decimals = number[2].lstrip("0") or "0", (number[3] or "").rstrip("0")
    value = f"{whole}.{decimals}" if decimals else whole
    return value if value == "0" else number[1] + value


def words(text: str) -> tuple[str, ...]:
    """The compared words of a short text.

    >>> words("The −2.0 charge of CO₂"), words("Vitamin A")
    (('-2', 'charge', 'of', 'co2'), ('vitamin', 'a'))
    """
    return _words(text[:MAX_CHARS])


@lru_cache(maxsize=2_048)  # a group's answers are compared with the same options
def _words(text: str) -> tuple[str, ...]:
    return tuple(token.word for token in tokens(plain(unwrapped(text))))


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


def is_symbols(text: str) -> bool:
    """Whether a text holds signs alone, such as a row of brackets: then every sign counts."""
    return bool(text.strip()) and not any(character.isalnum() for character in text)


def same_short_text(answer: str, gold: str) -> bool:
    """True where two short free-text answers say the same; equality, never containment, so that lists earn nothing."""
    if len(answer) > MAX_CHARS:
        return False
    if is_symbols(gold):
        return "".join(gold.split()) in ("".join(answer.split()), "".join(without_lead_in(answer).split()))
    flat = unwrapped(answer)
    target = normal(gold, "stems")
    return bool(target) and target in (normal(flat, "stems"), normal(without_lead_in(flat), "stems"))
