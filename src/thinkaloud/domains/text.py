"""Plain forms of short answers: without markdown, lead-in or plural."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

MAX_CHARS = 2_000
"""Short answers are short: of anything longer only this much is read."""

_LEAD_IN = re.compile(
    r"^(?:(?:so|thus|therefore|hence)\s+)?(?:(?:the|my|final|correct|right|best)\s+)*"
    r"(?:(?:answer|option|choice)\s+(?:is|would\s+be)|answer)\s*:?\s+"
    r"|^(?:it|this|that|they|these)(?:['’]s|\s+is|\s+are)(?:\s+(?:called|known\s+as))?\s+",
    re.IGNORECASE,
)


def plain(text: str) -> str:
    """`text` in NFC, white space collapsed, markdown emphasis, quotes and the closing full stop off."""
    flat = " ".join(unicodedata.normalize("NFC", text[:MAX_CHARS]).split())
    return flat.strip("*_`\"'“”‘’ ").rstrip(".!;, ").strip("*_`\"'“”‘’ ")


@lru_cache(maxsize=65_536)
def singular(word: str) -> str:
    """A rough singular of an English noun: both sides of a comparison pass through it, so it need only be steady."""
    if len(word) <= 3 or not word.isalpha() or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(("ses", "xes", "zes", "ches", "shes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") else word


def without_lead_in(text: str) -> str:
    """`text` without an opening such as "The answer is" or "It is called"."""
    flat = plain(text)
    return plain(_LEAD_IN.sub("", flat, count=1)) or flat
