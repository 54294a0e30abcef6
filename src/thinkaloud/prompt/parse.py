"""From completion text to reasoning and answer: strict, defined for every string, in linear time.

The result is either both parts, or the name of the first rule that the text breaks. Each tag is visited once, so a
megabyte of `<reasoning>` takes milliseconds.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Literal

OutsideText = Literal["reject", "allow"]


class Reason(StrEnum):
    """Why a completion's format is invalid, in the order in which the rules are checked."""

    TRUNCATED = "truncated"
    MISSING_REASONING = "missing_reasoning"
    MISSING_ANSWER = "missing_answer"
    NESTED_TAG = "nested_tag"
    DUPLICATE_TAG = "duplicate_tag"
    WRONG_ORDER = "wrong_order"
    EMPTY_REASONING = "empty_reasoning"
    EMPTY_ANSWER = "empty_answer"
    TEXT_OUTSIDE = "text_outside"


@dataclass(frozen=True, slots=True)
class Tags:
    """The two tag names, without brackets."""

    reasoning: str = "reasoning"
    answer: str = "answer"


@dataclass(frozen=True, slots=True)
class Parsed:
    """A completion's two parts, stripped; both are None where `reason` names the rule that the text breaks."""

    reasoning: str | None = None
    answer: str | None = None
    reason: Reason | None = None

    @property
    def valid(self) -> bool:
        return self.reason is None


@lru_cache(maxsize=16)
def _tag_pattern(tags: Tags) -> re.Pattern[str]:
    return re.compile(f"<(/?)({re.escape(tags.reasoning)}|{re.escape(tags.answer)})>")


def without_tags(text: str, tags: Tags) -> str:
    """The text without the two tags."""
    return _tag_pattern(tags).sub("", text)


def parse_completion(
    text: str, *, truncated: bool = False, outside_text: OutsideText = "reject", tags: Tags | None = None
) -> Parsed:
    """Split a completion into its reasoning and its answer.

    A valid text has exactly one pair of each tag, reasoning first, without nesting or overlap. Both parts contain
    visible characters and, under `outside_text="reject"`, there is only white space before, between and after them.
    Tags are matched exactly: another case, attributes or inner white space make them ordinary text.

    Args:
        text: The decoded completion, without its end-of-turn token.
        truncated: The completion reached the token limit, and is therefore invalid.
        outside_text: `"reject"`, or `"allow"` for the original write-up's rule. A text that is valid under
            `"allow"` is valid or `text_outside` under `"reject"`.
        tags: The tag names; `reasoning` and `answer` unless given.

    Returns:
        The two parts, or the name of the first broken rule in the order of `Reason`.
    """
    if truncated:
        return Parsed(reason=Reason.TRUNCATED)
    names = tags or Tags()
    found = list(_tag_pattern(names).finditer(text))
    seen = [match[1] + match[2] for match in found]
    if names.reasoning not in seen or f"/{names.reasoning}" not in seen:
        return Parsed(reason=Reason.MISSING_REASONING)
    if names.answer not in seen or f"/{names.answer}" not in seen:
        return Parsed(reason=Reason.MISSING_ANSWER)
    if _nests(seen):
        return Parsed(reason=Reason.NESTED_TAG)
    if len(found) > 4:
        return Parsed(reason=Reason.DUPLICATE_TAG)
    if seen != [names.reasoning, f"/{names.reasoning}", names.answer, f"/{names.answer}"]:
        return Parsed(reason=Reason.WRONG_ORDER)
    reasoning = text[found[0].end() : found[1].start()].strip()
    answer = text[found[2].end() : found[3].start()].strip()
    if not _visible(reasoning):
        return Parsed(reason=Reason.EMPTY_REASONING)
    if not _visible(answer):
        return Parsed(reason=Reason.EMPTY_ANSWER)
    outside = (text[: found[0].start()], text[found[1].end() : found[2].start()], text[found[3].end() :])
    if outside_text == "reject" and any(part and not part.isspace() for part in outside):
        return Parsed(reason=Reason.TEXT_OUTSIDE)
    return Parsed(reasoning=reasoning, answer=answer)


def _nests(seen: list[str]) -> bool:
    """Whether a tag opens before the last opened tag has closed."""
    is_open = False
    for tag in seen:
        opening = not tag.startswith("/")
        if opening and is_open:
            return True
        is_open = opening
    return False


def _visible(text: str) -> bool:
    """Whether any character is visible: zero-width and control characters count as white space."""
    return any(not ch.isspace() and unicodedata.category(ch) not in ("Cf", "Cc") for ch in text)
