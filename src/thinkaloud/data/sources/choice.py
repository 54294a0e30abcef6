"""Science: multiple choice, and short free text where the options are missing."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from thinkaloud.data.clean import clean_line, clean_text, rationale_of
from thinkaloud.data.rows import Values
from thinkaloud.data.sources.base import InvalidRow, Source, new_task, required, text_in
from thinkaloud.domains.choices import LETTERS, resolve_gold, with_options
from thinkaloud.domains.short_text import normal
from thinkaloud.records import Task


def choice_task(domain: str, stem: str, choices: Sequence[str], right: int, rationale: str = "") -> Task:
    """A question that shows its options; the answer is the text of the right one.

    Raises:
        InvalidRow: The options are not distinct, or there are too few or too many.
    """
    if len(choices) < 2:
        raise InvalidRow("fewer than two options")
    if len(choices) > len(LETTERS):
        raise InvalidRow("more options than letters")
    if not all(choices):
        raise InvalidRow("an option is empty")
    if resolve_gold(choices[right], choices) != right:
        raise InvalidRow("the right option appears twice")
    return new_task(
        domain=domain,
        question=with_options(stem, choices),
        key=stem,
        answer=choices[right],
        rationale=rationale,
        choices=tuple(choices),
    )


def sciq(row: Values) -> Task:
    """Fields `question`, `correct_answer`, `distractor1` to `distractor3` and `support`; some copies lack both."""
    question = required(clean_text(text_in(row, "question")), "no question")
    answer = required(clean_line(text_in(row, "correct_answer")), "no answer")
    rationale = rationale_of(text_in(row, "support"))
    wrong = [clean_line(text_in(row, f"distractor{number}")) for number in (1, 2, 3)]
    wrong = [text for text in dict.fromkeys(wrong) if text and normal(text, "caseless") != normal(answer, "caseless")]
    if not wrong:
        return new_task(domain="science", question=question, answer=answer, rationale=rationale)
    choices = sorted([answer, *wrong], key=lambda text: hashlib.sha256(f"{question}\x1f{text}".encode()).digest())
    return choice_task("science", question, choices, choices.index(answer), rationale)


def arc(row: Values) -> Task:
    """Fields `question`, `choices` (lists `text` and `label`) and `answerKey`, a letter or a digit."""
    question = required(clean_text(text_in(row, "question")), "no question")
    shown = row.get("choices")
    if (
        not isinstance(shown, dict)
        or not isinstance(shown.get("text"), list)
        or not isinstance(shown.get("label"), list)
    ):
        raise InvalidRow("no options")
    choices = [clean_line(str(text)) for text in shown["text"]]
    labels = [clean_line(str(label)) for label in shown["label"]]
    key = required(clean_line(str(row.get("answerKey") or "")), "no answer")
    if key not in labels or len(labels) != len(choices):
        raise InvalidRow("the answer is none of the options")
    return choice_task("science", question, choices, labels.index(key))


def _arc(name: str, cap: int) -> Source:
    return Source(
        name=name,
        hub="allenai/ai2_arc",
        config=name,
        domains=("science",),
        license="CC BY-SA 4.0",
        to_task=arc,
        splits={"train": "train", "validation": "validation"},
        caps={"science": cap},
    )


SOURCES = (
    Source(
        name="sciq",
        hub="allenai/sciq",
        domains=("science",),
        license="CC BY-NC 3.0",
        to_task=sciq,
        splits={"train": "train", "validation": "validation"},
        caps={"science": 1_400},
    ),
    _arc("ARC-Easy", 1_200),
    _arc("ARC-Challenge", 800),
)
