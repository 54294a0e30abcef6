"""Splits a text into the words by which copies are found, ignoring case, punctuation and white space."""

from __future__ import annotations

import re
import unicodedata

_WORD = re.compile(
    r"\d+(?:[.,:/]\d+)*"  # a number, whole: 1,000 and 3.5 and 1/2
    r"|[^\W\d_]+(?:['’][^\W\d_]+)*"  # a word, with its apostrophes: don't
    r"|[+*/=<>^%]|(?:(?<=\d)|(?<=\d )|(?<!\w))[-−](?= ?\d)"  # an operator: 3 - 2 is not 3 + 2, well-known is well known
)


def words_of(text: str) -> list[str]:
    """The words, numbers and operators of a text, NFKC and case folded.

    >>> words_of("It's 1,000 km -- well-known, ISN’T it?")
    ["it's", '1000', 'km', 'well', 'known', "isn't", 'it']
    """
    found = _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
    return [word.replace(",", "").replace("’", "'") for word in found]


def normalized(text: str) -> str:
    """The words of a text joined by spaces: equal for exact copies.

    A text without any word is returned stripped, so that two such texts do not count as copies.
    """
    return " ".join(words_of(text)) or text.strip()
