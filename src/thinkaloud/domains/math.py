"""Math: the same number or expression as the gold answer.

A gold answer that is one number is compared with the one number that the answer states (`numbers`). A gold answer that
lists numbers is compared with the answer's list. Only for real expressions is math-verify asked (`expressions`), in a
process of its own.
"""

from __future__ import annotations

import re
from fractions import Fraction

from thinkaloud.domains import expressions
from thinkaloud.domains.base import CodeRunner, Domain, DomainScore, correct, no_answer, quote, unscorable, wrong
from thinkaloud.domains.numbers import MAX_CHARS, read_number, read_numbers
from thinkaloud.domains.quantities import Number
from thinkaloud.domains.text import plain, without_lead_in
from thinkaloud.records import Task

_LOOSE_SPACE = re.compile(r"(?<!\w)\s+|\s+(?!\w)")  # "1 1/2" is not "11/2", and "x + 1" is "x+1"
_MERIDIEM = re.compile(r"\b([ap])\.?\s?m\b")
_ASKS_PERCENT = re.compile(r"\b(?:what|which|how|find|give|express|write|as)\b[^.?!]*(?:%|\bper\s?cent)", re.IGNORECASE)
_BOUND = re.compile(r"\b(?:at (?:least|most)|(?:more|less|fewer) than|up to)\s+\S*\d", re.IGNORECASE)


def score(task: Task, reasoning: str, answer: str, sandbox: CodeRunner | None = None) -> DomainScore:
    """Full marks for the gold answer's value; nothing for an ambiguous, unevaluated or merely copied answer."""
    gold_text = plain(task.answer)
    if not gold_text:
        return unscorable("the gold answer is empty")
    if len(answer) > MAX_CHARS:
        return wrong(f"expected {quote(gold_text)}, found an answer of {len(answer):,} characters")
    if _squeeze(answer) == _squeeze(gold_text):
        return correct(f"the same as {quote(gold_text)}")
    gold = read_number(task.answer).number
    if gold is not None:
        return _score_number(task, gold, answer)
    golds = None if "[" in task.answer + answer else read_numbers(task.answer)  # intervals are no lists
    if golds is not None and len(golds) > 1:
        return _score_list(task, golds, answer)
    return _score_expression(task, answer)


def _score_number(task: Task, gold: Number, answer: str) -> DomainScore:
    reading = read_number(answer)
    if reading.number is None:
        return no_answer("no number in the answer") if reading.empty else wrong(reading.why)
    number = reading.number
    if _BOUND.search(answer) and not _BOUND.search(task.answer):
        return wrong("a bound, not a number")
    asked_percent = _ASKS_PERCENT.search(task.question) is not None
    if not _same_value(number, gold, asked_percent):
        return wrong(f"expected {quote(task.answer)}, found {quote(answer)}")
    if number.fraction is not None and gold.value.denominator == 1:
        return wrong("a division left undone")
    if number.fraction is not None and not number.reduced and _is_copied(answer, task.question):
        return wrong("a fraction copied from the question")
    if number.fraction is not None and gold.fraction is None and _is_copied(answer, task.question):
        return wrong("a fraction copied from the question")
    return correct(f"the same number as {quote(task.answer)}")


def _same_value(number: Number, gold: Number, asked_percent: bool) -> bool:
    if number.percent or gold.percent:
        if number.percent and gold.percent:
            return number.value == gold.value
        percent, other = (number, gold) if number.percent else (gold, number)
        if percent.value == 100 * other.value and other.unit is None:
            return True  # 50% is 0.5
        return percent.value == other.value and other.unit is None and (gold.percent or asked_percent)
    if number.unit is not None and gold.unit is not None:
        if number.unit.dimension != gold.unit.dimension:
            return False
        return number.value * number.unit.factor == gold.value * gold.unit.factor
    return number.value == gold.value


def _score_list(task: Task, golds: list[Fraction], answer: str) -> DomainScore:
    """Several numbers: in the gold answer's order, or in any where the gold answer joins them by "or" or "and"."""
    found = read_numbers(answer)
    if found is None:
        return wrong(f"expected the numbers {quote(task.answer)}, found {quote(answer)}")
    words = task.answer.casefold().replace("{", " or ").split()
    any_order = "or" in words or "and" in words
    same = sorted(found) == sorted(golds) if any_order else found == golds
    if same and _meridiem(answer) == _meridiem(task.answer):
        return correct(f"the same numbers as {quote(task.answer)}")
    return wrong(f"expected {quote(task.answer)}, found {quote(answer)}")


def _score_expression(task: Task, answer: str) -> DomainScore:
    found = without_lead_in(answer)
    if _squeeze(found) == _squeeze(task.answer):
        return correct(f"the same as {quote(task.answer)}")
    if _is_copied(answer, task.question):
        return wrong("an expression copied from the question")
    match expressions.equal(task.answer, found):
        case True:
            return correct(f"equal to {quote(task.answer)}")
        case False:
            return wrong(f"expected {quote(task.answer)}, found {quote(answer)}")
        case reason:
            return wrong(f"expected {quote(task.answer)}, found {quote(answer)} ({reason})")


def _squeeze(text: str) -> str:
    """`text` without white space, outer dollar signs and `\\left`, `\\right`: equal texts need no further look."""
    flat = plain(text).replace("\\left", "").replace("\\right", "").replace("\\,", "").replace("\\!", "")
    for opening, closing in (("\\(", "\\)"), ("\\[", "\\]"), ("$$", "$$"), ("$", "$")):
        if flat.startswith(opening) and flat.endswith(closing) and len(flat) >= len(opening) + len(closing):
            flat = flat[len(opening) : -len(closing)]
    return _LOOSE_SPACE.sub("", flat).casefold()


def _is_copied(answer: str, question: str) -> bool:
    """True where an answer's expression stands in the question word for word."""
    wanted = _squeeze(without_lead_in(answer))
    if len(wanted) < 2:
        return False
    before = r"(?<![\w./])" if wanted[0].isalnum() else ""
    after = r"(?![\w/]|\.\d)" if wanted[-1].isalnum() else ""
    return re.search(before + re.escape(wanted) + after, _LOOSE_SPACE.sub("", question).casefold()) is not None


def _meridiem(text: str) -> set[str]:
    return set(_MERIDIEM.findall(text.casefold()))


DOMAIN = Domain(
    name="math",
    kind="verifiable",
    description="the same number or expression (commas, currency, percent, units, fractions, LaTeX); "
    "ambiguous answers earn nothing",
    score=score,
)
