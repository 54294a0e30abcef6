"""The user's own source: the recipe names the columns; `own_values` reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from thinkaloud.config import SourceConfig
from thinkaloud.data.clean import clean_code, clean_line, clean_text, rationale_of, without_calculations
from thinkaloud.data.rows import Values
from thinkaloud.data.sources.base import InvalidRow, Source, new_task, required
from thinkaloud.data.sources.choice import choice_task
from thinkaloud.data.sources.own_values import from_chat, text_of, texts_of
from thinkaloud.data.sources.yes_no import labels_of
from thinkaloud.domains import SCORERS
from thinkaloud.domains.choices import options_of, resolve_gold
from thinkaloud.errors import UserError
from thinkaloud.records import Task


@dataclass(frozen=True, slots=True)
class Column:
    """What the first rows of a split say about its column of answers.

    Attributes:
        labels: Labels that mean yes and no (`yes_no.labels_of`).
        from_zero: Answers are options' numbers, counted from 0.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    from_zero: bool = False


def own_source(name: str, config: SourceConfig) -> Source:
    """A source from its table in the recipe.

    Raises:
        UserError: The columns do not fit the domain.
    """
    domain = config.domain or ""
    scored_as = config.scored_as or domain
    scorer = SCORERS.get(scored_as)
    if config.choices and scorer is not None and not scorer.uses_choices:
        raise UserError(
            f"sources.{name}: expected no choices in a domain scored as {scored_as}, which has no options; "
            "use scored_as = 'science'"
        )
    if scorer is not None and scorer.runs_code and not config.tests:
        raise UserError(f"sources.{name}: coding needs tests, the column with the assertions that an answer must pass")
    options = (config.choices,) if isinstance(config.choices, str) else config.choices or ()
    named = (config.question, config.context, config.answer, config.rationale, *options, config.tests, config.setup)

    def adapted(first: Sequence[Values]) -> Callable[[Values], Task]:
        column = _column(first, config, scored_as)
        return lambda row: _to_task(row, name, config, domain, scored_as, column)

    return Source(
        name=name,
        domains=(domain,),
        license=config.license or "not stated",
        to_task=adapted(()),
        adapted=adapted,
        splits={},
        columns=tuple(dict.fromkeys(column for column in named if column)),
        reshape=lambda values: from_chat(values, config.question, config.answer),
    )


def _column(first: Sequence[Values], config: SourceConfig, scored_as: str) -> Column:
    found: list[tuple[str, list[str]]] = []
    for row in first:
        try:
            answer, options = text_of(row, config.answer).strip(), texts_of(row, config.choices, "")
        except InvalidRow:  # counted when the row is read
            continue
        found += [(answer, options)] if answer else []
    labels = labels_of(answer for answer, _ in found) if scored_as == "logic" else {}
    from_zero = all(answer.isdecimal() for answer, _ in found) and any(
        answer == "0" and options and resolve_gold("0", options) is None for answer, options in found
    )
    return Column(labels, from_zero)


def _to_task(row: Values, name: str, config: SourceConfig, domain: str, scored_as: str, column: Column) -> Task:
    clean = clean_code if config.tests else clean_text
    question = required(clean(text_of(row, config.question)), "no question")
    if context := clean(text_of(row, config.context)):
        question = f"{context}\n\n{question}"
    rationale = rationale_of(text_of(row, config.rationale))
    if config.choices and (choices := texts_of(row, config.choices, "options are not a list")):
        return _choice(row, name, config, domain, question, [clean_line(text) for text in choices], rationale, column)
    answer = clean(text_of(row, config.answer))
    if config.answer_after:
        before, answer = _split_answer(answer, config.answer_after)
        rationale = rationale or before
    label = answer.casefold()
    note = f"label {answer!r} read as {column.labels[label]}" if label in column.labels else ""
    answer = column.labels.get(label, answer)
    tests = tuple(clean_code(test) for test in texts_of(row, config.tests, "tests are not a list"))
    if scored_as == "coding" and not tests:
        raise InvalidRow("no tests")
    task = new_task(
        domain=domain,
        question=question,
        answer=required(answer, "no answer"),
        rationale=rationale,
        tests=tests,
        setup=clean_code(text_of(row, config.setup)),
        choices=options_of(SCORERS.get(scored_as), question, answer),
    )
    return replace(task, note=note)


def _split_answer(text: str, mark: str) -> tuple[str, str]:
    """The rationale before the last `mark`, and the answer after it."""
    before, found, answer = text.rpartition(mark)
    if not found:
        raise InvalidRow("the answer lacks the mark of answer_after")
    return rationale_of(without_calculations(before.replace("<think>", ""))), answer.strip()


def _choice(
    row: Values,
    name: str,
    config: SourceConfig,
    domain: str,
    question: str,
    choices: list[str],
    rationale: str,
    column: Column,
) -> Task:
    answer = required(clean_line(text_of(row, config.answer)), "no answer")
    if column.from_zero and answer.isdecimal():
        right = int(answer) if int(answer) < len(choices) else None
    else:
        right = resolve_gold(answer, choices)
    if right is None and answer == "0":  # the other rows would silently be read one option off
        raise UserError(
            f"sources.{name}: expected answers as an option's text, its letter, or its number from 1; found 0. Where "
            f"the column {config.answer!r} counts from 0, write letters instead"
        )
    if right is None:
        raise InvalidRow("the answer is none of the options")
    return choice_task(domain, question, choices, right, rationale)
