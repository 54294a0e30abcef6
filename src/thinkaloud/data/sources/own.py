"""The user's own source: the recipe names the columns."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, time
from decimal import Decimal
from typing import Any

from thinkaloud.config import SourceConfig
from thinkaloud.data.clean import clean_code, clean_line, clean_text, rationale_of
from thinkaloud.data.rows import Values
from thinkaloud.data.sources.base import InvalidRow, Source, new_task, required
from thinkaloud.data.sources.choice import choice_task
from thinkaloud.data.sources.number_text import number_text
from thinkaloud.data.sources.yes_no import labels_of
from thinkaloud.domains import SCORERS
from thinkaloud.domains.choices import resolve_gold
from thinkaloud.errors import UserError, type_name
from thinkaloud.records import Task

MESSAGES = "messages"
"""The column of chat messages, read where there is no column with the question."""


def own_source(name: str, config: SourceConfig) -> Source:
    """A source from its table in the recipe.

    Raises:
        UserError: The columns do not fit the domain.
    """
    domain = config.domain or ""
    scored_as = config.scored_as or domain
    if config.choices and scored_as in SCORERS and not SCORERS[scored_as].uses_choices:
        raise UserError(
            f"sources.{name}: expected no choices in a domain scored as {scored_as}, which has no options; "
            "use scored_as = 'science'"
        )
    if scored_as in SCORERS and SCORERS[scored_as].runs_code and not config.tests:
        raise UserError(f"sources.{name}: coding needs tests, the column with the assertions that an answer must pass")
    named = (config.question, config.answer, config.rationale, config.choices, config.tests, config.setup)

    def adapted(first: Sequence[Values]) -> Callable[[Values], Task]:
        labels = labels_of(_text(row, config.answer) for row in first) if scored_as == "logic" else {}
        return lambda row: _to_task(row, name, config, domain, scored_as, labels)

    return Source(
        name=name,
        domains=(domain,),
        license=config.license or "not stated",
        to_task=adapted(()),
        adapted=adapted,
        splits={},
        columns=tuple(dict.fromkeys(column for column in named if column)),
        reshape=lambda values: _from_messages(values, config),
    )


def _to_task(
    row: Values, name: str, config: SourceConfig, domain: str, scored_as: str, labels: Mapping[str, str]
) -> Task:
    clean = clean_code if config.tests else clean_text
    question = required(clean(_text(row, config.question)), "no question")
    rationale = rationale_of(_text(row, config.rationale))
    if config.choices and (choices := _texts(row, config.choices, "options are not a list")):
        return _choice(row, name, config, domain, question, [clean_line(text) for text in choices], rationale)
    answer = clean(_text(row, config.answer))
    label = answer.casefold()
    note = f"label {answer!r} read as {labels[label]}" if label in labels else ""
    answer = labels.get(label, answer)
    tests = tuple(clean_code(test) for test in _texts(row, config.tests, "tests are not a list"))
    if scored_as == "coding" and not tests:
        raise InvalidRow("no tests")
    task = new_task(
        domain=domain,
        question=question,
        answer=required(answer, "no answer"),
        rationale=rationale,
        tests=tests,
        setup=clean_code(_text(row, config.setup)),
    )
    return replace(task, note=note)


def _choice(
    row: Values, name: str, config: SourceConfig, domain: str, question: str, choices: list[str], rationale: str
) -> Task:
    answer = required(clean_line(_text(row, config.answer)), "no answer")
    right = resolve_gold(answer, choices)
    if right is None and answer == "0":  # the other rows would silently be read one option off
        raise UserError(
            f"sources.{name}: expected answers as an option's text, its letter, or its number from 1; found 0. Where "
            f"the column {config.answer!r} counts from 0, write letters instead"
        )
    if right is None:
        raise InvalidRow("the answer is none of the options")
    return choice_task(domain, question, choices, right, rationale)


def _from_messages(values: Values, config: SourceConfig) -> Values:
    """Add question and answer to a row of chat messages: the last user turn and the last assistant turn."""
    messages = values.get(MESSAGES)
    if config.question in values or not isinstance(messages, list):
        return values
    turns = {
        str(turn.get("role")): turn.get("content") for turn in messages if isinstance(turn, dict)
    }  # of equal roles the last one counts
    return {**values, config.question: turns.get("user"), config.answer: turns.get("assistant")}


def _text(row: Values, column: str | None) -> str:
    """A value as text: whole numbers without `.0`, other numbers in full; empty for a missing value.

    Raises:
        InvalidRow: The value is not text, a number or a date.
    """
    value = row.get(column) if column else None
    match value:
        case None | "":
            return ""
        case bool() | str():
            return str(value)
        case float() if math.isnan(value):
            return ""
        case float():
            return number_text(value)
        case Decimal():
            return format(value.normalize(), "f") if value.is_finite() else str(value)
        case bytes():
            try:
                return value.decode()
            except UnicodeDecodeError:
                raise InvalidRow(f"column {column}: bytes that are not UTF-8") from None
        case int() | date() | time():
            return str(value)
        case _:
            raise InvalidRow(f"column {column}: {type_name(value)} instead of text")


def _texts(row: Values, column: str | None, reason: str) -> list[str]:
    """A value that is a list, or the JSON text of one.

    Raises:
        InvalidRow: With `reason`, for any other value.
    """
    value: Any = row.get(column) if column else None
    if isinstance(value, str) and value.strip():
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise InvalidRow(reason) from None
    if value is None or value == "":
        return []
    if not isinstance(value, list) or not all(isinstance(item, str | int | float) for item in value):
        raise InvalidRow(reason)
    return [str(item) for item in value]
