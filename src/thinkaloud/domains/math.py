"""Math: the gold answer's value, read into a type once and compared by type (`values`)."""

from __future__ import annotations

import re
from functools import lru_cache

from thinkaloud.domains import expressions
from thinkaloud.domains.base import CodeRunner, Domain, DomainScore, correct, no_answer, quote, unscorable, wrong
from thinkaloud.domains.consistency import by_number
from thinkaloud.domains.short_text import same_short_text
from thinkaloud.domains.text import without_lead_in
from thinkaloud.domains.values.clean import clean
from thinkaloud.domains.values.compare import compare
from thinkaloud.domains.values.kinds import Expression, Number, Text, Unread, Value
from thinkaloud.domains.values.question import ROUNDED, Asked, read_question
from thinkaloud.domains.values.reader import MAX_CHARS, denial, read
from thinkaloud.records import Task

_SPACE = re.compile(r"(?<!\w)\s+|\s+(?!\w)")  # "1 1/2" is not "11/2", and "x + 1" is "x+1"
_LAYOUT = re.compile(r"\\(?:left|right)(?![a-zA-Z])|\\[,!;:]")
_NO_SOLUTION = re.compile(
    r"(?:there (?:is|are)|(?:the |this )?(?:equation|system|inequality) has|it has)?\s*(no (?:real )?solutions?)"
    r"(?: exists?)?|\\emptyset|\\varnothing|∅|\\\{\s*\\\}|\{\s*\}",
    re.IGNORECASE,
)
_DIGIT = re.compile(r"\d|[∞½¼¾⅓⅔]|\\infty")
_NO_VALUE = ("no solution", "no real solution")
_SYMBOL = re.compile(r"[^\w\s.,;:!'\"“”()*_`\\${}-]|(?<!\w)-(?=\s*\S)")
_CONCLUSION = re.compile(r"^(?:so|thus|hence|therefore)\b[\s,:]*", re.IGNORECASE)
_SUBSCRIPT = re.compile(r"_\s*\{[^{}]*\}")
_RELATION = re.compile(r"[=<>,;]|\\(?:in|to|cup|cap|subset|equiv|approx|sim)(?![a-z])")
_STRUCK = re.compile(r"~~|\\[xb]?cancel|\\sout|<s>|<del>|<!--")
_STATEMENT = re.compile(r"^(?:there (?:is|are)|(?:the |this )?(?:equation|system) has|she|he|it) ", re.IGNORECASE)


def score(task: Task, reasoning: str, answer: str, sandbox: CodeRunner | None = None) -> DomainScore:
    """Full marks for the gold answer's value; nothing for an ambiguous, unevaluated or merely copied answer."""
    gold_text = task.answer.strip()
    squeezed = _squeeze(gold_text)
    if not squeezed:
        return unscorable("the gold answer is empty")
    if len(answer) > MAX_CHARS:
        return wrong(f"expected {quote(gold_text)}, found an answer of {len(answer):,} characters")
    if _squeeze(answer) == squeezed:
        return correct(f"the same as {quote(gold_text)}")
    if _gold_statement(gold_text) in _NO_VALUE and _statement(answer) == _gold_statement(gold_text):
        return correct(f"the same statement as {quote(gold_text)}")
    asked = read_question(task.question)
    gold = _read_gold(gold_text, asked)
    if isinstance(gold, Text | Unread):
        return _score_text(task, gold, answer)
    value = _read(answer, asked)
    if isinstance(gold, Number) and not isinstance(value, Number) and not _has_number(value, answer):
        return no_answer(f"no number in {quote(answer)}")
    if isinstance(value, Expression) and _is_copied(answer, asked):
        return wrong("an expression copied from the question")
    try:
        why = compare(gold, value, asked)
    except RecursionError:  # a long sum is a deep tree, and the caller's stack may be deep already
        why = "nested too deeply"
    if not why:
        return correct(f"equal to {quote(gold_text)}")
    return wrong(f"expected {quote(gold_text)}, found {quote(answer)}: {why}")


def _has_number(value: Value, answer: str) -> bool:
    """Whether an answer that is no number holds one, alone: `x12` does not."""
    if isinstance(value, Unread):
        return not value.empty
    return not isinstance(value, Text) and _DIGIT.search(answer) is not None


def _read(text: str, asked: Asked) -> Value:
    """The value of a text; hedges such as "about" count only where no rounded value is asked for."""
    value = read(text)
    return read(text, rounded=True) if isinstance(value, Unread) and asked.asks(ROUNDED) else value


@lru_cache(maxsize=1024)
def _read_gold(text: str, asked: Asked) -> Value:
    return _read(text, asked)


@lru_cache(maxsize=1024)
def _gold_statement(text: str) -> str:
    return _statement(text)


def _score_text(task: Task, gold: Value, answer: str) -> DomainScore:
    """Words, or LaTeX that only math-verify reads."""
    gold_text = task.answer.strip()
    if isinstance(gold, Unread) and "\\" in gold_text:
        return _score_latex(gold_text, answer)
    if _STRUCK.search(answer):
        return wrong("the answer is struck out")
    said, wanted = _statement(answer), _statement(gold_text)
    if said == wanted or (same_short_text(said, wanted) and _SYMBOL.findall(said) == _SYMBOL.findall(wanted)):
        return correct(f"the same as {quote(gold_text)}")
    return wrong(f"expected {quote(gold_text)}, found {quote(answer)}")


def _statement(text: str) -> str:
    """A statement without its opening; the ways to say that there is no solution are one."""
    flat = without_lead_in(_CONCLUSION.sub("", clean(text).strip()))
    match = _NO_SOLUTION.fullmatch(flat.strip())
    if match:
        return (match[1] or "no solution").casefold().rstrip("s")
    return _STATEMENT.sub("", flat)


def _score_latex(gold: str, answer: str) -> DomainScore:
    found = without_lead_in(answer)
    refused = denial(answer)
    if refused:
        return wrong(refused)
    why: bool | str = "an equation or a list that is not read"
    if not any(_RELATION.search(_SUBSCRIPT.sub("", clean(text))) for text in (gold, found)):
        why = expressions.equal(gold, found)
    if why is True:
        return correct(f"equal to {quote(gold)}")
    return wrong(f"expected {quote(gold)}, found {quote(answer)}" + (f" ({why})" if isinstance(why, str) else ""))


def _squeeze(text: str) -> str:
    """`text` without white space, outer dollar signs and the closing full stop: equal texts need no further look."""
    flat = " ".join(text[: MAX_CHARS + 1].split()).strip('"`“” ').rstrip(".;, ")
    flat = _LAYOUT.sub("", flat)
    for opening, closing in (("\\(", "\\)"), ("\\[", "\\]"), ("$$", "$$"), ("$", "$"), ("**", "**")):
        if flat.startswith(opening) and flat.endswith(closing) and len(flat) > len(opening) + len(closing):
            flat = flat[len(opening) : -len(closing)]
    flat = _SPACE.sub("", flat)
    return flat.casefold() if len(flat) > 1 and flat.replace(" ", "").isalpha() else flat


def _is_copied(answer: str, asked: Asked) -> bool:
    """True where an answer's expression stands in the question word for word."""
    wanted = _squeeze(without_lead_in(answer))
    if len(wanted) < 2:
        return False
    before = r"(?<![\w./])" if wanted[0].isalnum() else ""
    after = r"(?![\w/]|\.\d)" if wanted[-1].isalnum() else ""
    return re.search(before + re.escape(wanted) + after, _SPACE.sub("", asked.text).casefold()) is not None


DOMAIN = Domain(
    name="math",
    kind="verifiable",
    description="the same value by type: number with unit, list, set, interval, relation, expression, matrix, time; "
    "ambiguous, unevaluated or copied answers earn nothing",
    score=score,
    agrees=by_number,
)
