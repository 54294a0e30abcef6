"""Which verifier suits a file: the one that reads its gold answers as values, not as mere words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from thinkaloud.data.rows import Values
from thinkaloud.data.sources.base import InvalidRow
from thinkaloud.data.sources.own_values import text_of, texts_of
from thinkaloud.data.sources.yes_no import LABEL_PAIRS
from thinkaloud.domains.choices import resolve_gold
from thinkaloud.domains.logic import polarity_of_word
from thinkaloud.domains.values.kinds import Expression, Number, Text, Unread
from thinkaloud.domains.values.reader import MAX_CHARS, read
from thinkaloud.init.columns import Columns

MOST = 0.9
"""A verifier is proposed if it reads this share of the answers."""
MAX_READ = 500
"""Answers that are read."""
LABELLED = 100
"""Answers among which the reader looks for labels such as 1 and 0."""
SHORT_WORDS = 5
"""Longer answers are sentences, which are never repeated word for word."""

_DATE = re.compile(r"\d{4}-\d\d?-\d\d?|\d\d?[./]\d\d?[./]\d{2,4}")
_LETTER = re.compile(r"[(\[]?[A-Za-z][)\].]?")
_DIGIT = re.compile(r"\d")
_DECIMAL_COMMA = re.compile(r"[^\w\s]?\s?-?\d{1,9},(?:\d{1,2}|\d{4,9})(?:\s?\D{0,12})")

_FITS = {
    "number": "read as numbers",
    "value": "read as mathematical values",
    "polarity": "are yes or no",
    "letter": "are single letters",
    "text": f"are texts of at most {SHORT_WORDS} words",
    "sentence": "are longer texts",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorer:
    """A proposed scorer.

    Attributes:
        name: A key of `thinkaloud.domains.SCORERS`.
        why: The reason, in one line.
        doubts: What the user should look at, one line each.
    """

    name: str
    why: str
    doubts: tuple[str, ...] = ()


def find_scorer(rows: Sequence[Values], columns: Columns) -> Scorer:
    """The scorer for a file's gold answers.

    Args:
        rows: Rows in which a chat's last turns are question and answer (`own_values.from_chat`).
    """
    answers = [answer for row in rows[:MAX_READ] if (answer := _gold(row, columns))]
    if columns.tests:
        return Scorer(name="coding", why=f"the column {columns.tests!r} holds tests")
    if columns.choices:
        return Scorer(name="science", why="each question has options")
    kinds = Counter(map(kind_of, answers))
    doubts = (*_rare(answers), *_commas(answers))
    labels = {answer.casefold() for answer in answers[:LABELLED]}
    if any(labels == set(pair) for pair in LABEL_PAIRS):
        return Scorer(name="logic", why=f"all answers are {' or '.join(sorted(labels))}: yes and no", doubts=doubts)
    total = max(1, len(answers))
    for name, accepted in (
        ("logic", ("polarity",)),
        ("math", ("number", "value")),
        ("science", ("number", "value", "text", "letter", "polarity")),
    ):
        count = sum(kinds[kind] for kind in accepted)
        if count >= MOST * total:
            rest = {kind: number for kind, number in kinds.items() if kind not in accepted}
            return Scorer(name=name, why=_shares(kinds, total), doubts=(*doubts, *_exceptions(name, rest)))
    long = ("no verifier compares free text: words are compared with the gold answer; see docs/data.md for a judge",)
    return Scorer(name="reference", why=_shares(kinds, total), doubts=(*doubts, *long))


def gold_options(row: Values, columns: Columns) -> int | None:
    """The index of the right option by its text or letter; None where it is none of them."""
    try:
        options = texts_of(row, columns.choices, "")
        return resolve_gold(text_of(row, columns.answer).strip(), options)
    except InvalidRow:
        return None


def kind_of(answer: str) -> str:
    """What a gold answer is: a key of `_FITS`."""
    if polarity_of_word(answer) is not None:
        return "polarity"
    words = len(answer[:MAX_CHARS].split())
    if _LETTER.fullmatch(answer):
        return "letter"
    if words <= 4 * SHORT_WORDS and not _DATE.fullmatch(answer):
        value = read(answer)
        if isinstance(value, Number):
            if (_DIGIT.search(answer) or words == 1) and words <= SHORT_WORDS:
                return "number"
        elif isinstance(value, Unread):
            if "\\" in answer:
                return "value"
        elif not isinstance(value, Text) and (not isinstance(value, Expression) or not answer.isalpha()):
            return "value"
    return "text" if words <= SHORT_WORDS else "sentence"


def _gold(row: Values, columns: Columns) -> str:
    """The gold answer of a row; empty where it has none."""
    try:
        text = text_of(row, columns.answer).strip()
    except InvalidRow:
        return ""
    return text.rpartition(columns.answer_after)[2].strip() if columns.answer_after else text


def _shares(kinds: Counter[str], total: int) -> str:
    return f"of {total:,} answers " + ", ".join(f"{count:,} {_FITS[kind]}" for kind, count in kinds.most_common())


def _exceptions(name: str, rest: dict[str, int]) -> tuple[str, ...]:
    count = sum(rest.values())
    how = {"math": "as words", "logic": "as words", "science": "word for word"}[name]
    return (f"{count:,} answers {'is' if count == 1 else 'are'} of another kind and compared {how}",) if count else ()


def _rare(answers: Sequence[str]) -> tuple[str, ...]:
    """A doubt where one answer is right more often than not."""
    if len(answers) < 10:
        return ()
    answer, count = Counter(answer.casefold() for answer in answers).most_common(1)[0]
    if count <= len(answers) / 2:
        return ()
    shown = " ".join(answer.split())[:40]
    return (f"{count / len(answers):.0%} of the answers are {shown!r}: a model that always says so is right as often",)


def _commas(answers: Sequence[str]) -> tuple[str, ...]:
    """A doubt where decimal commas stand in numbers."""
    found = [answer for answer in answers if len(answer) < 30 and _DECIMAL_COMMA.fullmatch(answer)]
    if len(found) * 20 < len(answers) or not found:
        return ()
    return (
        f"{len(found):,} answers look like decimal commas ({found[0]!r}), which are read as two numbers: write points",
    )
