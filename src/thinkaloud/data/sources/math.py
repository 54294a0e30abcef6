"""Mathematics: word problems with a number for an answer."""

from __future__ import annotations

from thinkaloud.data.clean import clean_line, clean_text, rationale_of, without_calculations
from thinkaloud.data.sources.base import Draft, Row, Source, Unfit, required, text_in


def gsm8k(row: Row) -> Draft:
    """Fields `question`, `answer`: steps, then `#### ` and the number."""
    question = required(clean_text(text_in(row, "question")), "no question")
    steps, mark, gold = required(text_in(row, "answer"), "no answer").rpartition("####")
    if not mark:
        raise Unfit("no answer after ####")
    return Draft(
        domain="math",
        question=question,
        key=question,
        answer=required(clean_line(gold), "no answer after ####"),
        rationale=rationale_of(without_calculations(steps)),
    )


def svamp(row: Row) -> Draft:
    """Fields `Body`, `Question`, `Answer` (a number, as text such as `145.0` in some copies)."""
    body, asked = clean_text(text_in(row, "Body")), clean_text(text_in(row, "Question"))
    question = clean_line(f"{body}{'' if body.endswith(('.', ',', '?', '!')) else '.'} {asked}") if body else asked
    number = row.get("Answer")
    gold = f"{number:g}" if isinstance(number, int | float) and not isinstance(number, bool) else str(number or "")
    gold = clean_line(gold).removesuffix(".0")
    return Draft(
        domain="math", question=required(question, "no question"), key=question, answer=required(gold, "no answer")
    )


SOURCES = (
    Source(
        name="gsm8k",
        hub="openai/gsm8k",
        config="main",
        domains=("math",),
        license="MIT",
        to_draft=gsm8k,
        caps={"math": 2_500},
    ),
    Source(
        name="svamp",
        hub="ChilleD/SVAMP",
        domains=("math",),
        license="MIT",
        to_draft=svamp,
        splits={"test": "test"},
    ),
)
