"""Science: multiple choice, and short free text where the options are missing."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from thinkaloud.data.clean import clean_line, clean_text, rationale_of
from thinkaloud.data.sources.base import Draft, Row, Source, Unfit, required, text_in
from thinkaloud.domains.choices import LETTERS, resolve_gold, with_options
from thinkaloud.domains.text import normal


def choice_draft(domain: str, stem: str, choices: Sequence[str], right: int, rationale: str = "") -> Draft:
    """A question that shows its options; its answer is the text of the right one.

    Raises:
        Unfit: the options can't be told apart, or are too few or too many.
    """
    if len(choices) < 2:
        raise Unfit("fewer than two options")
    if len(choices) > len(LETTERS):
        raise Unfit("more options than letters")
    if not all(choices):
        raise Unfit("an option is empty")
    if resolve_gold(choices[right], choices) != right:
        raise Unfit("the right option stands there twice")
    return Draft(
        domain=domain,
        question=with_options(stem, choices),
        key=stem,
        answer=choices[right],
        rationale=rationale,
        choices=tuple(choices),
    )


def sciq(row: Row) -> Draft:
    """Fields `question`, `correct_answer`, `distractor1` to `distractor3` and `support`; some copies lack both."""
    question = required(clean_text(text_in(row, "question")), "no question")
    answer = required(clean_line(text_in(row, "correct_answer")), "no answer")
    rationale = rationale_of(text_in(row, "support"))
    wrong = [clean_line(text_in(row, f"distractor{number}")) for number in (1, 2, 3)]
    wrong = [text for text in dict.fromkeys(wrong) if text and normal(text, "caseless") != normal(answer, "caseless")]
    if not wrong:
        return Draft(domain="science", question=question, key=question, answer=answer, rationale=rationale)
    choices = sorted([answer, *wrong], key=lambda text: hashlib.sha256(f"{question}\x1f{text}".encode()).digest())
    return choice_draft("science", question, choices, choices.index(answer), rationale)


def arc(row: Row) -> Draft:
    """Fields `question`, `choices` (`text` and `label`, side by side) and `answerKey`, a letter or a digit."""
    question = required(clean_text(text_in(row, "question")), "no question")
    shown = row.get("choices")
    if (
        not isinstance(shown, dict)
        or not isinstance(shown.get("text"), list)
        or not isinstance(shown.get("label"), list)
    ):
        raise Unfit("no options")
    choices = [clean_line(str(text)) for text in shown["text"]]
    labels = [clean_line(str(label)) for label in shown["label"]]
    key = required(clean_line(str(row.get("answerKey") or "")), "no answer")
    if key not in labels or len(labels) != len(choices):
        raise Unfit("the answer is none of the options")
    return choice_draft("science", question, choices, labels.index(key))


def _arc(name: str, cap: int) -> Source:
    return Source(
        name=name,
        hub="allenai/ai2_arc",
        config=name,
        domains=("science",),
        license="CC BY-SA 4.0",
        to_draft=arc,
        splits={"train": "train", "validation": "validation"},
        caps={"science": cap},
    )


SOURCES = (
    Source(
        name="sciq",
        hub="allenai/sciq",
        domains=("science",),
        license="CC BY-NC 3.0",
        to_draft=sciq,
        splits={"train": "train", "validation": "validation"},
        caps={"science": 1_400},
    ),
    _arc("ARC-Easy", 1_200),
    _arc("ARC-Challenge", 800),
)
