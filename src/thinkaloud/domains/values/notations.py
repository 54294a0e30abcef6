"""Notations of their own: times of day, ratios, digits in another base, quantities of several units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from thinkaloud.domains.values.kinds import Based, Clock, Collection, Value
from thinkaloud.domains.values.lexer import Token
from thinkaloud.domains.values.quantity import compound, scan


def read_notation(tokens: Sequence[Token]) -> Value | None:
    """The value of a text in one of these notations; None for any other text."""
    return _clock(tokens) or _ratio(tokens) or _based(tokens) or _sum_of_units(tokens)


def _clock(tokens: Sequence[Token]) -> Value | None:
    """`7:45`, `7:45:30 pm`, `7 pm`, `7 o'clock`."""
    rest = "".join(token.lower for token in tokens[1:])
    hour = tokens[0]
    if hour.kind != "number" or hour.form != "integer" or hour.value > 24:
        return None
    minutes = Fraction(0)
    numbers = 1
    while numbers < 5 and len(tokens) > numbers + 1 and tokens[numbers].text == ":":
        part = tokens[numbers + 1]
        if part.kind != "number" or len(part.text) != 2 or part.value >= 60:
            return None
        minutes += part.value / (1 if numbers == 1 else 60)
        numbers += 2
    rest = "".join(token.lower for token in tokens[numbers:]).replace(".", "").replace("o'clock", "")
    if rest not in ("", "am", "pm") or len(tokens) == 1:
        return None
    if rest and not 1 <= hour.value <= 12:
        return None
    total = hour.value * 60 + minutes
    if rest:
        total = (hour.value % 12) * 60 + minutes + (720 if rest == "pm" else 0)
    return Clock(total, rest[:1])


def _ratio(tokens: Sequence[Token]) -> Collection | None:
    """`3:2` and `3 to 2`."""
    separators = {token.lower for token in tokens[1::2]}
    if len(tokens) < 3 or len(tokens) % 2 == 0 or len(tokens) > 11 or separators not in ({":"}, {"to"}):
        return None
    numbers = [scan((token,), 0) for token in tokens[::2]]
    if any(number is None for number in numbers):
        return None
    return Collection(tuple(number[0] for number in numbers if number), "ratio")


def named_ratio(tokens: Sequence[Token]) -> Collection | None:
    """`V_1:V_2 = 3:2`: a ratio with the name of what it compares."""
    equals = [at for at, token in enumerate(tokens) if token.text == "="]
    if len(equals) != 1:
        return None
    left, right = tokens[: equals[0]], tokens[equals[0] + 1 :]
    found = _ratio(right)
    name = "".join(token.text for token in left if token.text not in ("{", "}"))
    parts = name.split(":")
    if found is None or len(parts) != len(found.items) or not all(part[:1].isalpha() for part in parts):
        return None
    return replace(found, name=name)


def _based(tokens: Sequence[Token]) -> Value | None:
    """`4210_5`, `4210_{5}`, `4210 base 5`."""
    texts = [token.text for token in tokens if token.text not in ("{", "}", "(", ")")]
    if texts[1:3] == ["in", "base"] or texts[1:2] == ["base"]:
        texts = [texts[0], "_", *texts[-1:]] if len(texts) == (4 if texts[1] == "in" else 3) else texts
    if len(texts) == 4 and texts[1:3] == ["_", "\\text"]:
        del texts[2]
    if len(texts) != 3 or texts[1] != "_" or not (texts[0] + texts[2]).isdigit() or len(texts[2]) > 2:
        return None
    return Based(texts[0].lstrip("0") or "0", int(texts[2]))


def _sum_of_units(tokens: Sequence[Token]) -> Value | None:
    """`3 hours and 20 minutes`."""
    numbers = []
    at = 0
    while at < len(tokens):
        found = scan(tokens, at)
        if found is None:
            return None
        numbers.append(found[0])
        at = found[1]
        if at < len(tokens) and tokens[at].lower in ("and", ","):
            at += 1
            if at == len(tokens):
                return None
    return compound(numbers) if len(numbers) > 1 else None
