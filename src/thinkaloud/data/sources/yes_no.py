"""Logic: yes/no questions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from thinkaloud.data.clean import clean_line, clean_text, rationale_of
from thinkaloud.data.rows import Values
from thinkaloud.data.sources.base import InvalidRow, Source, new_task, required, text_in
from thinkaloud.records import Task

_WORDS = {"yes": "yes", "true": "yes", "1": "yes", "no": "no", "false": "no", "0": "no"}


LABEL_PAIRS = (("1", "0"), ("y", "n"), ("t", "f"), ("true", "false"))
"""Labels of a column that mean yes and no, in this order."""


def labels_of(answers: Iterable[str]) -> dict[str, str]:
    """What the labels in the first answers of a column mean: `{"t": "yes", "f": "no"}`; empty where it has no labels.

    One pair of labels, both of them, and nothing else must stand there: a puzzle whose answer is 1 is no label. The
    words true and false need no such proof.
    """
    found = {answer.strip().casefold() for answer in answers if answer.strip()}
    for yes, no in LABEL_PAIRS:
        if found == {yes, no}:
            return {yes: "yes", no: "no"}
    return {"true": "yes", "false": "no"}


def yes_or_no(value: Any) -> str:
    """`yes` or `no`, from a Boolean or a word.

    Raises:
        InvalidRow: It is neither.
    """
    if value is None or value == "":
        raise InvalidRow("no answer")
    word = _WORDS.get(str(value).strip().casefold())
    return required(word or "", "the answer is neither yes nor no")


def strategyqa(row: Values) -> Task:
    """Fields `question`, `answer` (a Boolean) and `facts` (sentences, or one text)."""
    question = required(clean_text(text_in(row, "question")), "no question")
    facts = row.get("facts") or ()
    facts = (facts,) if isinstance(facts, str) else facts
    sentences = [line for fact in facts if (line := clean_line(str(fact)))]
    sentences = [line if line.endswith((".", "!", "?")) else f"{line}." for line in sentences]
    return new_task(
        domain="logic",
        question=question,
        answer=yes_or_no(row.get("answer")),
        rationale=rationale_of(" ".join(sentences)),
    )


def boolq(row: Values) -> Task:
    """Fields `question` (no capital, no question mark), `passage`, `answer` (a Boolean)."""
    asked = required(clean_line(text_in(row, "question")), "no question")
    passage = required(clean_text(text_in(row, "passage")), "no passage")
    asked = f"{asked[0].upper()}{asked[1:]}" + ("" if asked.endswith("?") else "?")
    return new_task(
        domain="logic",
        question=f"Read the passage, then answer the question with yes or no.\n\n{passage}\n\nQuestion: {asked}",
        key=asked,
        answer=yes_or_no(row.get("answer")),
    )


SOURCES = (
    Source(
        name="strategyqa",
        hub="wics/strategy-qa",
        revision="refs/convert/parquet",  # the main branch has a loading script, which `datasets` no longer runs
        domains=("logic",),
        license="MIT",
        to_task=strategyqa,
        splits={"train": "train", "validation": "validation"},
        hub_splits={"train": "test"},  # the hub copy's name for the authors' labelled training file (2,290 rows)
        caps={"logic": 1_400},
    ),
    Source(
        name="boolq",
        hub="google/boolq",
        domains=("logic",),
        license="CC BY-SA 3.0",
        to_task=boolq,
        splits={"validation": "test"},  # its test answers were never published
    ),
)
