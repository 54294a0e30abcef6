"""Mathematics: word problems whose answer is a number."""

from __future__ import annotations

from thinkaloud.data.clean import clean_line, clean_text, rationale_of, without_calculations
from thinkaloud.data.rows import Values
from thinkaloud.data.sources.base import InvalidRow, Source, new_task, required, text_in
from thinkaloud.data.sources.number_text import number_text
from thinkaloud.records import Task


def gsm8k(row: Values) -> Task:
    """Fields `question`, `answer`: steps, then `#### ` and the number."""
    question = required(clean_text(text_in(row, "question")), "no question")
    steps, mark, gold = required(text_in(row, "answer"), "no answer").rpartition("####")
    if not mark:
        raise InvalidRow("no answer after ####")
    return new_task(
        domain="math",
        question=question,
        answer=required(clean_line(gold), "no answer after ####"),
        rationale=rationale_of(without_calculations(steps)),
    )


def svamp(row: Values) -> Task:
    """Fields `Body`, `Question`, `Answer` (a number, as text such as `145.0` in some copies)."""
    body, asked = clean_text(text_in(row, "Body")), clean_text(text_in(row, "Question"))
    question = clean_line(f"{body}{'' if body.endswith(('.', ',', '?', '!')) else '.'} {asked}") if body else asked
    number = row.get("Answer")
    if isinstance(number, int | float) and not isinstance(number, bool):
        gold = number_text(number)
    else:
        gold = str(number or "")
    gold = clean_line(gold).removesuffix(".0")
    return new_task(domain="math", question=required(question, "no question"), answer=required(gold, "no answer"))


SOURCES = (
    Source(
        name="gsm8k",
        hub="openai/gsm8k",
        config="main",
        domains=("math",),
        license="MIT",
        to_task=gsm8k,
        caps={"math": 2_500},
    ),
    Source(
        name="svamp",
        hub="ChilleD/SVAMP",
        domains=("math",),
        license="MIT",
        to_task=svamp,
        splits={"test": "test"},
    ),
)
