"""One reader for gold answers and for answers: a text -> a typed value."""

from __future__ import annotations

from collections.abc import Sequence

from thinkaloud.domains.values.clean import clean
from thinkaloud.domains.values.grammar import FUNCTIONS
from thinkaloud.domains.values.kinds import Text, Unread, Value
from thinkaloud.domains.values.lexer import Token, TooLarge, tokenize
from thinkaloud.domains.values.numerals import merge_numerals
from thinkaloud.domains.values.prose import read_prose
from thinkaloud.domains.values.refusals import refusal
from thinkaloud.domains.values.structure import read_structure
from thinkaloud.domains.values.vocabulary import word_set

MAX_CHARS = 2_000
"""Nothing is read from a longer text."""

_LEAD_IN_ENDS = word_set("is are be equals equal was were becomes get gets by to that exactly therefore thus hence so")
_SIGN_WORDS = {"negative": "-", "minus": "-", "positive": "", "plus": ""}
_CLOSING = word_set("answer answers solution solutions result")
_OPENING = word_set("so thus hence therefore then and answer final the simply just solution solutions")


def read(text: str, *, rounded: bool = False) -> Value:
    """The value of a text.

    Args:
        text: an answer, hostile perhaps, or a gold answer.
        rounded: the question asks for a rounded value; "about" and `≈` are then no hedges.

    Returns:
        A typed value; `Text` where there is no mathematics; `Unread` with the reason where there is no one value.
        Linear in the text; never raises.
    """
    if len(text) > MAX_CHARS:
        return Unread(f"{len(text):,} characters, of which none are read")
    try:
        tokens = _with_infinity(merge_numerals(tokenize(clean(text))))
        if not tokens:
            return Unread("the answer is empty", empty=True)
        return _value(text, tokens, rounded)
    except TooLarge:
        return Unread("a number is too large to read, or there are too many")
    except RecursionError:
        return Unread("nested too deeply")


def _with_infinity(tokens: list[Token]) -> list[Token]:
    """`infinity` as `\\infty`, with the sign that a word before it names."""
    found: list[Token] = []
    for token in tokens:
        if token.lower != "infinity":
            found.append(token)
            continue
        sign = _SIGN_WORDS.get(found[-1].lower) if found else None
        if sign is not None:
            found[-1:] = [Token("sign", sign, spaced=found[-1].spaced)] if sign else []
        found.append(Token("command", "\\infty", spaced=token.spaced))
    return found


def denial(text: str) -> str:
    """Why an answer that is not read here earns nothing either; empty where it neither hedges nor denies."""
    try:
        return refusal(merge_numerals(tokenize(clean(text[:MAX_CHARS]))))
    except TooLarge:
        return "a number is too large to read, or there are too many"


def _value(text: str, tokens: Sequence[Token], rounded: bool) -> Value:
    why = refusal(tokens, rounded=rounded)
    if why:
        return Unread(why, empty=not _is_mathematical(tokens))
    if rounded:
        tokens = [Token("sign", "=") if token.text == "\\approx" else token for token in tokens if token.text != "~"]
    if not _is_balanced(tokens):
        return Unread("brackets that do not match")
    body = without_lead_in(tokens)
    found = read_structure(body)
    if found is None and len(body) < len(tokens):
        found = read_structure(tokens)
    if found is not None:
        return found
    if not _is_mathematical(tokens):
        return Text(text)
    return read_prose(tokens)


def _is_mathematical(tokens: Sequence[Token]) -> bool:
    """Whether there is a number or a formula at all."""
    return any(
        token.kind in ("number", "command") or (token.kind == "sign" and token.text in "=<>^+*/|{}[]<=>=!=")
        for token in tokens
    )


def _is_balanced(tokens: Sequence[Token]) -> bool:
    """Whether as many brackets open as close; their kinds may differ, as in `[1, 2)`."""
    opened = sum(token.text in ("(", "[", "{", "\\{") for token in tokens)
    return opened == sum(token.text in (")", "]", "}", "\\}") for token in tokens)


def without_lead_in(tokens: Sequence[Token]) -> Sequence[Token]:
    """`tokens` without an opening such as "The answer is" or "So the solutions are:"."""
    start = _lead_to_matrix(tokens)
    for at, token in enumerate(tokens[start:], start):
        if (token.text == ":" and at and tokens[at - 1].kind == "word" and len(tokens[at - 1].text) > 1) or (
            token.kind == "word" and token.lower in _LEAD_IN_ENDS and len(token.text) > 1
        ):
            start = at + 1
        elif (token.kind != "word" and token.text not in (",", "\n", '"', "'")) or (
            token.kind == "word" and token.lower in FUNCTIONS
        ):
            break
        elif start == at and (token.lower in _OPENING or token.text in (",", "\n")):
            start = at + 1
    while start < len(tokens) and tokens[start].text in (",", ":", "\n"):
        start += 1
    return tokens[start : _end_of_statement(tokens, start)]


def _lead_to_matrix(tokens: Sequence[Token]) -> int:
    """Where a matrix begins after words and a colon or a verb, number words among them ("the zero matrix is:")."""
    start = next((at for at, token in enumerate(tokens) if token.text == "\\begin"), 0)
    is_lead_in = all(token.kind == "word" or token.form == "words" or token.text in ",:" for token in tokens[:start])
    return start if start and is_lead_in and tokens[start - 1].lower in (":", "is", "equals") else 0


def _end_of_statement(tokens: Sequence[Token], start: int) -> int:
    """Where a closing such as "is the solution" begins."""
    end = len(tokens)
    while end > start and tokens[end - 1].text in (".", "\n"):
        end -= 1
    words = [token.lower for token in tokens[max(start, end - 3) : end]]
    if len(words) == 3 and words[0] in ("is", "are") and words[2] in _CLOSING:
        return end - 3
    return len(tokens)
