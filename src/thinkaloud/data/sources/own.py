"""The user's own source: which column holds what stands in the recipe."""

from __future__ import annotations

import json
import math
from typing import Any

from thinkaloud.config import SourceConfig
from thinkaloud.data.clean import clean_code, clean_line, clean_text, rationale_of
from thinkaloud.data.sources.base import Draft, Row, Source, Unfit, required
from thinkaloud.data.sources.choice import choice_draft
from thinkaloud.data.sources.yes_no import yes_or_no
from thinkaloud.domains.choices import resolve_gold
from thinkaloud.errors import UserError


def own_source(name: str, config: SourceConfig) -> Source:
    """The adapter that a recipe describes.

    Raises:
        UserError: its columns and its domain do not go together.
    """
    domain = config.domain or ""
    scored_as = config.scored_as or domain
    if config.choices and scored_as not in ("science", "logic"):
        raise UserError(
            f"sources.{name}: expected no choices in a domain scored as {scored_as}, which does not look at options; "
            "use scored_as = 'science'"
        )
    if scored_as == "coding" and not config.tests:
        raise UserError(f"sources.{name}: coding needs tests, the column of the assertions that an answer must pass")
    named = (config.question, config.answer, config.rationale, config.choices, config.tests, config.setup)

    def to_draft(row: Row) -> Draft:
        return _draft(row, name, config, domain, scored_as)

    return Source(
        name=name,
        domains=(domain,),
        license=config.license or "not stated",
        to_draft=to_draft,
        splits={},
        columns=tuple(dict.fromkeys(column for column in named if column)),
    )


def _draft(row: Row, name: str, config: SourceConfig, domain: str, scored_as: str) -> Draft:
    clean = clean_code if scored_as == "coding" else clean_text
    question = required(clean(_text(row, config.question)), "no question")
    rationale = rationale_of(_text(row, config.rationale))
    if config.choices and (choices := _texts(row, config.choices, "options are no list")):
        return _choice(row, name, config, domain, question, [clean_line(text) for text in choices], rationale)
    if scored_as == "logic" and isinstance(row.get(config.answer), bool):
        answer = yes_or_no(row[config.answer])
    else:
        answer = clean(_text(row, config.answer))
    tests = tuple(clean_code(test) for test in _texts(row, config.tests, "tests are no list"))
    if scored_as == "coding" and not tests:
        raise Unfit("no tests")
    return Draft(
        domain=domain,
        question=question,
        key=question,
        answer=required(answer, "no answer"),
        rationale=rationale,
        tests=tests,
        setup=clean_code(_text(row, config.setup)),
    )


def _choice(
    row: Row, name: str, config: SourceConfig, domain: str, question: str, choices: list[str], rationale: str
) -> Draft:
    answer = required(clean_line(_text(row, config.answer)), "no answer")
    right = resolve_gold(answer, choices)
    if right is None and answer == "0":  # the other rows would be read one option off, without a word
        raise UserError(
            f"sources.{name}: expected answers as an option's text, its letter, or its number from 1; found 0. Where "
            f"the column {config.answer!r} counts from 0, write letters instead"
        )
    if right is None:
        raise Unfit("the answer is none of the options")
    return choice_draft(domain, question, choices, right, rationale)


def _text(row: Row, column: str | None) -> str:
    """A cell as text: whole numbers without `.0`, nothing for a missing value or a list."""
    value = row.get(column) if column else None
    if isinstance(value, float):
        value = None if math.isnan(value) else int(value) if value.is_integer() else value
    return str(value) if isinstance(value, str | int | float) else ""


def _texts(row: Row, column: str | None, unless: str) -> list[str]:
    """A cell that holds a list, or the JSON text of one.

    Raises:
        Unfit: it holds something else, with the phrase `unless`.
    """
    value: Any = row.get(column) if column else None
    if isinstance(value, str) and value.strip():
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise Unfit(unless) from None
    if value is None or value == "":
        return []
    if not isinstance(value, list) or not all(isinstance(item, str | int | float) for item in value):
        raise Unfit(unless)
    return [str(item) for item in value]
