"""Units of measure, as far as answers need them: 70 mm is 7 cm, and 7 m is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

Dimension = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Unit:
    """What a unit measures, as sorted (base, power) pairs, and its size in base units."""

    dimension: Dimension
    factor: Fraction


def _table() -> dict[str, tuple[str, Fraction]]:
    lines = (
        # base: (size in base units: names)
        (
            "metre",
            "1/1000:mm millimeter millimetre|1/100:cm centimeter centimetre|1:m meter metre"
            "|1000:km kilometer kilometre",
        ),
        ("metre", "254/10000:inch inches|3048/10000:ft foot feet|9144/10000:yd yard|1609344/1000:mi mile"),
        ("gram", "1/1000:mg milligram|1:g gram gramme|1000:kg kilogram kilo|1000000:tonne"),
        ("gram", "45359237/100000:lb lbs|28349523125/1000000000:oz ounce"),
        ("second", "1/1000:ms millisecond|1:s sec second|60:min minute|3600:h hr hour|86400:day|604800:week"),
        ("litre", "1/1000:ml milliliter millilitre|1/100:cl centiliter centilitre|1:l liter litre"),
        ("month", "1:month|12:yr year"),
        ("dollar", "1:dollar usd|1/100:cent ¢"),
        ("euro", "1:euro eur"),
        ("celsius", "1:°c celsius"),
        ("fahrenheit", "1:°f fahrenheit"),
    )
    table = {}
    for base, entries in lines:
        for entry in entries.split("|"):
            size, names = entry.split(":")
            for name in names.split():
                table[name] = (base, Fraction(size))
                if len(name) > 2:
                    table[name + "s"] = table[name]
    return table


_UNITS = _table()
CURRENCY = {"$": Unit((("dollar", 1),), Fraction(1)), "€": Unit((("euro", 1),), Fraction(1))}


def find_unit(words: Sequence[str]) -> tuple[Unit | None, int]:
    """The unit that a row of tokens begins with, and how many tokens it takes; (None, 0) where it names none.

    Args:
        words: the tokens after a number, such as `["km", "/", "h"]`, `["square", "metres"]`, `["cm", "^", "2"]`.

    >>> find_unit(["km", "/", "h", "fast"])[0].dimension
    (('metre', 1), ('second', -1))
    """
    powers: dict[str, int] = {}
    factor = Fraction(1)
    sign, used = 1, 0
    at = 1 if words[:1] and words[0].casefold() in ("degree", "degrees") else 0  # an angle, or Celsius or Fahrenheit
    while at < len(words):
        power = {"square": 2, "sq": 2, "cubic": 3}.get(words[at].casefold(), 1)
        at += power > 1
        name = words[at].casefold() if at < len(words) else ""
        if name[-1:] in ("2", "3") and name[:-1] in _UNITS:
            name, power = name[:-1], int(name[-1])
        if name not in _UNITS:
            break
        base, size = _UNITS[name]
        at += 1
        if words[at : at + 1] == ["^"] and words[at + 1 : at + 2] in (["2"], ["3"]):
            power, at = int(words[at + 1]), at + 2
        elif at < len(words) and words[at].casefold() in ("squared", "cubed"):
            power, at = (2 if words[at].casefold() == "squared" else 3), at + 1
        powers[base] = powers.get(base, 0) + sign * power
        factor *= size ** (sign * power)
        used = at
        if sign < 0 or at >= len(words) or words[at].casefold() not in ("/", "per"):
            break
        sign, at = -1, at + 1
    dimension = tuple(sorted((base, power) for base, power in powers.items() if power))
    return (Unit(dimension, factor), used) if dimension else (None, 0)
