"""The one number that a sentence states, with the sums that lead to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

from thinkaloud.domains.values.exact import Inexact, Undefined, exact
from thinkaloud.domains.values.grammar import NotAnExpression
from thinkaloud.domains.values.kinds import Number, Unread
from thinkaloud.domains.values.lexer import Token
from thinkaloud.domains.values.quantity import compound, is_noun, scan, with_noun
from thinkaloud.domains.values.tree import parse
from thinkaloud.domains.values.units import CURRENCY
from thinkaloud.domains.values.vocabulary import word_set

_FORMULA = "an expression, not a number"
_ENDS = frozenset({".", ";", "\n", "\\implies"})
_CONCLUDING = word_set("so thus therefore hence then making totaling giving answer total finally")
_CHOICES = frozenset({"or", "to"})
_MARKS = frozenset({",", "(", ")", '"', ":", "."})
_COPULAS = word_set("is are was be equals equal get gets gives give of by to exactly makes make were has have")
_ARTICLES = frozenset({"a", "i"})
_TIMES = frozenset({"*", "/", "+", "-", "(", ")", "^", "{", "}", "\\frac", "\\div"})


def read_prose(tokens: Sequence[Token]) -> Number | Unread:
    """The number that a text states, or why there is none.

    A text may state it several times in different words ("42 (forty-two)"), and may derive it by equations that hold.
    """
    if not any(token.kind == "number" or token.text == "\\frac" or token.lower == "half" for token in tokens):
        return Unread("no number in the answer", empty=True)
    clauses = [clause for clause in _clauses(tokens) if clause]
    stated: Number | None = None
    earlier: list[tuple[Number, bool]] = []
    concluded = False
    for clause in clauses:
        found = _read_clause(clause)
        if isinstance(found, Unread):
            if not found.empty or found.why == _FORMULA:
                return Unread(found.why)
            continue
        if stated is not None:
            earlier.append((stated, concluded))
        stated = found
        concluded = any(token.text == "=" for token in clause)
        last_words = {token.lower for token in clause}
    if stated is None:
        return Unread("no number in the answer", empty=True)
    for number, derived in earlier:
        same = number.size == stated.size
        if not same and not (derived and (concluded or not _CONCLUDING.isdisjoint(last_words))):
            return Unread("two different numbers")
    return stated


def _clauses(tokens: Sequence[Token]) -> list[list[Token]]:
    """Sentences, and parts before "so" and "therefore"."""
    clauses: list[list[Token]] = [[]]
    equations = _between_equations(tokens)
    for at, token in enumerate(tokens):
        if token.text in _ENDS or at in equations:
            clauses.append([])
        elif token.lower in ("so", "thus", "therefore", "hence") and clauses[-1]:
            clauses.append([token])
        else:
            clauses[-1].append(token)
    return clauses


def _between_equations(tokens: Sequence[Token]) -> set[int]:
    """Where a comma stands between two equations."""
    commas = [at for at, token in enumerate(tokens) if token.text == ","]
    found = set()
    holds = False
    for start, end in pairwise([-1, *commas, len(tokens)]):
        before, holds = holds, any(token.text == "=" for token in tokens[start + 1 : end])
        if before and holds:
            found.add(start)
    return found


def _read_clause(clause: Sequence[Token]) -> Number | Unread:
    """The number at the end of a clause; equations before it must hold."""
    sides: list[list[Token]] = [[]]
    for token in clause:
        if token.text == "=":
            sides.append([])
        else:
            sides[-1].append(token)
    last = _read_side(sides[-1], alone=len(sides) == 1)
    if isinstance(last, Unread):
        return last
    for side in sides[:-1]:
        if _is_label(side):
            words = " ".join(token.lower for token in side if token.kind == "word")
            last = replace(last, label=(*last.label, words))
        elif not _holds(side, last):
            return Unread("two different numbers, or an equation that does not hold")
    return last


def _is_label(side: Sequence[Token]) -> bool:
    """What stands left of a `=`: words, a variable, no number."""
    return all(token.kind in ("word", "command") or token.text in ("_", ":", ",", "(", ")") for token in side)


def _holds(side: Sequence[Token], last: Number) -> bool:
    """Whether a side of an equation has the value of the last side; words, units and currency signs do not count."""
    row: list[Token] = []
    for at, token in enumerate(side):
        after = side[at + 1] if at + 1 < len(side) else None
        if token.kind == "number" or token.text in _TIMES:
            row.append(token)
        elif token.text == "%":
            row += [Token("sign", "/"), Token("number", "100", Fraction(100), form="integer")]
        elif (
            token.lower in ("x", "times", "of")
            and row
            and row[-1].kind == "number"
            and after
            and after.kind == "number"
        ):
            row.append(Token("sign", "*"))
        elif token.lower in ("plus", "minus"):
            row.append(Token("sign", "+" if token.lower == "plus" else "-"))
        elif (
            token.kind == "command"
            or (token.kind == "sign" and token.text not in CURRENCY and token.text not in _MARKS)
            or (
                token.kind == "word"
                and len(token.text) == 1
                and token.lower not in _ARTICLES | {"g", "m", "h", "s", "l"}
            )
        ):
            return False
    try:
        value = exact(parse(row), {})
    except (NotAnExpression, Undefined, Inexact, KeyError):
        return False
    return value in (last.value, last.size)


def _read_side(side: Sequence[Token], *, alone: bool) -> Number | Unread:
    """The one number of a row of words."""
    numbers: list[Number] = []
    places: list[tuple[int, int]] = []
    at = 0
    while at < len(side):
        found = scan(side, at) if _may_start(side, at) else None
        if found is not None:
            number, end = with_noun(side, *found)
            if number.form == "words" and number.value == Fraction(1, 2) and side[at].lower == "half":
                return Unread("left unevaluated (half …)")
            numbers.append(number)
            places.append((at, end))
            at = end
            continue
        why = _leftover(side, at)
        if why:
            return Unread(why, empty=not _has_number(side))
        at += 1
    if not numbers:
        return Unread("no number", empty=True)
    return _only(side, numbers, places)


def _has_number(tokens: Sequence[Token]) -> bool:
    return any(token.kind == "number" or token.text == "\\frac" for token in tokens)


def _may_start(side: Sequence[Token], at: int) -> bool:
    """Whether a quantity may start here: a sign after a number or a variable is an operator."""
    token = side[at]
    if token.text in ("-", "+"):
        if at == 0:
            return True
        before = side[at - 1]
        if (
            before.kind == "number"
            or (before.kind == "word" and len(before.text) == 1)
            or before.text in (")", "}", "%")
        ):
            return False
        if before.kind != "word":
            return before.text in _MARKS or before.text in CURRENCY
        after_spaced = at + 1 < len(side) and side[at + 1].spaced
        return token.spaced and (not after_spaced or before.lower in _COPULAS)
    if token.lower in ("minus",) and at:
        return side[at - 1].kind == "word" and side[at - 1].lower in _COPULAS
    return True


def _leftover(side: Sequence[Token], at: int) -> str:
    """Why a token that belongs to no number makes the text unreadable; empty where it does not."""
    token = side[at]
    if token.kind == "word":
        if token.lower in _CHOICES and _has_number(side):
            return "the answer offers a choice or a range"
        if len(token.text) == 1 and not (token.lower in _ARTICLES and at + 1 < len(side) and side[at + 1].spaced):
            return _FORMULA
        if not is_noun(token) and len(token.text) > 1:
            return _FORMULA
        return ""
    if token.text in _MARKS:
        return ""
    if token.text == "!" and at == len(side) - 1 and at and side[at - 1].kind == "word":
        return ""
    if token.text in ("/", "-") and 0 < at < len(side) - 1 and is_noun(side[at - 1]) and is_noun(side[at + 1]):
        return ""
    return _FORMULA


def _only(side: Sequence[Token], numbers: list[Number], places: list[tuple[int, int]]) -> Number | Unread:
    """The one value of several statements of it, or the sum of `3 hours 20 minutes`."""
    if len(numbers) == 1:
        return numbers[0]
    gaps = [side[end:start] for (_, end), (start, _) in pairwise(places)]
    if all(not gap or [token.lower for token in gap] in (["and"], [","]) for gap in gaps):
        return compound(numbers) or Unread("two numbers")
    if len({number.size for number in numbers}) > 1:
        return Unread("two different numbers")
    if not all(any(token.text in ("(", ":") or token.kind == "word" for token in gap) for gap in gaps):
        return Unread("the same number twice")
    return next((number for number in numbers if number.unit), numbers[0])
