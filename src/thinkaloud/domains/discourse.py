"""Signs that a text does not do what was asked: it refuses, talks about itself, asks back, or repeats one sentence.

Each guard is a factor in [0, 1], as in `guards`; the ends were set on the same human-written answers.
"""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from itertools import pairwise
from statistics import fmean

from thinkaloud.domains.guards import MIN_WORDS, ramp
from thinkaloud.domains.vague import WRITING
from thinkaloud.domains.wording import WORD, Text

MAX_SENTENCES = 60
MAX_SENTENCE_WORDS = 60
OPENING_CHARS = 400
"""A refusal stands at the beginning of an answer."""

_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_QUOTED = re.compile(r"[\"“][^\"”]{0,400}[\"”]?")
_SENTENCE_END = re.compile(r"[.!?]+[\"”’)\]]*(?:\s+|\Z)|\n+")
_ITEM_MARK = re.compile(r"^\s*(?:[-*•]|\d{1,3}[.)])\s*")
_TASK_VERB = (
    r"(?:write|create|compose|help|assist|provide|answer|summari[sz]e|suggest|give|offer|do (?:this|that|it|so))\b"
)
_UNWILLING = (
    r"can(?:'t|not| not)|won't|will not|would rather not|must decline to|refuse to|do not want to|don't want to"
)
_REFUSAL = re.compile(
    r"\bas an? (?:ai|(?:ai |large )?language model)\b|\bi(?:'m| am) an? (?:ai|(?:ai |large )?language model)\b"
    rf"|\b(?:i|we)(?:'m| am|'re| are)? (?:sorry|afraid|unable|not able)\b.{{0,80}}?\b{_TASK_VERB}"
    rf"|\b(?:i|we) (?:{_UNWILLING}) {_TASK_VERB}",
    re.DOTALL,
)


def without_comments(text: str) -> str:
    """The text as a reader of the rendered page sees it: without HTML comments."""
    return _COMMENT.sub(" ", text) if "<!--" in text else text


def refusal(text: Text) -> float:
    """0 where the writer refuses the task in the opening of the answer; speech in quotation marks does not count."""
    opening = _QUOTED.sub(" ", text.raw[:OPENING_CHARS]).casefold().replace("’", "'")
    return 0.0 if _REFUSAL.search(opening) else 1.0


def about_itself(text: Text, known: frozenset[str]) -> float:
    """1 where few content words are about writing itself ("this text", "the summary says"), 0 where many are.

    Args:
        known: The question's stems, which may be used.
    """
    if len(text.words) < MIN_WORDS or not text.stems:
        return 1.0
    own = sum(stem in WRITING and stem not in known for stem in text.stems)
    return ramp(own / len(text.stems), 0.34, 0.22)


def questions(text: Text) -> float:
    """1 where few sentences are questions, 0 where most are."""
    found = _sentences(text.raw)
    if len(found) < 2:
        return 0.5 if text.raw.rstrip().endswith("?") else 1.0
    asked = sum(sentence.rstrip().endswith("?") for sentence in found)
    return ramp(asked / len(found), 0.7, 0.3)


def same_frame(text: Text) -> float:
    """1 where sentences differ in build, 0 where one sentence is repeated with some words changed."""
    found = [WORD.findall(_ITEM_MARK.sub("", sentence).casefold()) for sentence in _sentences(text.raw)]
    found = [words[:MAX_SENTENCE_WORDS] for words in found if len(words) >= 5]
    if len(found) < 3:
        return 1.0
    alike = [SequenceMatcher(None, one, other, autojunk=False).ratio() for one, other in pairwise(found)]
    return ramp(fmean(alike), 0.68, 0.5)


def _sentences(text: str) -> list[str]:
    """The first sentences of a text, with their end marks; each line ends one."""
    found, start = [], 0
    for end in _SENTENCE_END.finditer(text):
        if text[start : end.start()].strip():
            found.append(text[start : end.end()])
        start = end.end()
        if len(found) == MAX_SENTENCES:
            return found
    if text[start:].strip():
        found.append(text[start:])
    return found
