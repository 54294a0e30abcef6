"""Numbers in words: "twenty-one", "one hundred and five", "14 hundred", "three and a half"."""

from __future__ import annotations

from fractions import Fraction

from thinkaloud.domains.values.lexer import MAX_DIGITS, Token, TooLarge
from thinkaloud.domains.values.vocabulary import word_set

_ONES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
SMALL = dict(zip(_ONES, range(20), strict=True)) | dict(zip(_TENS, range(20, 100, 10), strict=True))
SCALES = {
    "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "quadrillion": 10**15,
}  # fmt: skip
_WORDS = SMALL.keys() | SCALES.keys() | {"hundred", "half"}
_PRONOUN_BEFORE = word_set("the this that no each every any which another only")
_PRONOUN_AFTER = word_set("of with that who which is was in")


def merge_numerals(tokens: list[Token]) -> list[Token]:
    """`tokens` with each number in words as one number token.

    Raises:
        TooLarge: a number and its scales exceed what is read.
    """
    if not any(token.kind == "word" and not _WORDS.isdisjoint(token.lower.split("-")) for token in tokens):
        return tokens
    tokens = [part for token in tokens for part in _parts(token)]
    merged: list[Token] = []
    at = 0
    while at < len(tokens):
        found, used = _numeral(tokens, at)
        if found is None or _is_pronoun(tokens, at, used):
            merged.append(tokens[at])
            at += 1
            continue
        at += used
        merged.append(found)
    return _with_halves(merged)


def _parts(token: Token) -> list[Token]:
    """`twenty-one`, `two-thirds` and `one-hundred` as two words each."""
    if token.kind != "word" or "-" not in token.text:
        return [token]
    parts = token.text.split("-")
    if parts[0].casefold() not in _WORDS:
        return [token]
    return [Token("word", part, spaced=token.spaced or at > 0) for at, part in enumerate(parts)]


def _numeral(tokens: list[Token], at: int) -> tuple[Token | None, int]:
    """A number (in digits or words) and the scales that follow it; digits alone stay as they are."""
    first = tokens[at]
    if first.kind == "number":
        value, used, form = first.value, 1, first.form
        if at + 1 >= len(tokens) or tokens[at + 1].lower not in SCALES.keys() | {"hundred"}:
            return first, 1
    elif first.lower in SMALL:
        value, used = _below_hundred(tokens, at)
        form = "words"
    elif first.lower == "a" and _word(tokens, at + 1) in SCALES.keys() | {"hundred"}:
        value, used, form = Fraction(1), 1, "words"
    else:
        return None, 0
    total = Fraction(0)
    limit = 10**18
    while at + used < len(tokens):
        word = tokens[at + used].lower
        if word == "hundred":
            value, used = value * 100, used + 1
            more, taken = _rest_of_hundred(tokens, at + used)
            value, used = value + more, used + taken
        elif word in SCALES and SCALES[word] < limit:
            limit = SCALES[word]
            total, value, used = total + value * limit, Fraction(0), used + 1
            skip = 1 if _word(tokens, at + used) == "and" and _word(tokens, at + used + 1) in SMALL else 0
            if _word(tokens, at + used + skip) in SMALL:
                value, taken = _below_hundred(tokens, at + used + skip)
                used += skip + taken
            elif first.kind == "number":
                break
        else:
            break
    total += value
    if abs(total) > 10**MAX_DIGITS:
        raise TooLarge
    text = " ".join(token.text for token in tokens[at : at + used])
    return Token("number", text, total, first.spaced, form if used > 1 or first.kind == "number" else "words"), used


def _below_hundred(tokens: list[Token], at: int) -> tuple[Fraction, int]:
    value = SMALL[tokens[at].lower]
    following = SMALL.get(_word(tokens, at + 1), 0)
    if value >= 20 and 0 < following < 10:
        return Fraction(value + following), 2
    return Fraction(value), 1


def _rest_of_hundred(tokens: list[Token], at: int) -> tuple[Fraction, int]:
    """What follows "hundred": "twenty-one", "and five"."""
    skip = 1 if _word(tokens, at) == "and" else 0
    if _word(tokens, at + skip) not in SMALL:
        return Fraction(0), 0
    value, used = _below_hundred(tokens, at + skip)
    return value, used + skip


def _word(tokens: list[Token], at: int) -> str:
    return tokens[at].lower if at < len(tokens) and tokens[at].kind == "word" else ""


def _is_pronoun(tokens: list[Token], at: int, used: int) -> bool:
    """The "one" of "the one with 42" is no number."""
    if used != 1 or tokens[at].lower != "one":
        return False
    return (at > 0 and tokens[at - 1].lower in _PRONOUN_BEFORE) or _word(tokens, at + 1) in _PRONOUN_AFTER


def _with_halves(tokens: list[Token]) -> list[Token]:
    """`three and a half` as one number."""
    merged: list[Token] = []
    at = 0
    while at < len(tokens):
        words = [token.lower for token in tokens[at + 1 : at + 4]]
        used = 3 if words == ["and", "a", "half"] else 2 if words[:2] == ["and", "half"] else 0
        token = tokens[at]
        if token.kind == "number" and used and token.value.denominator == 1:
            merged.append(token._replace(value=token.value + Fraction(1, 2), form="mixed"))
            at += used + 1
        else:
            merged.append(token)
            at += 1
    return merged
