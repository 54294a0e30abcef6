"""Units: 70 mm is 7 cm, 3 dozen is 36, 50% is 0.5, and 7 m is none of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

Dimension = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Unit:
    """What a unit measures, as sorted (base, power) pairs, and its size in base units.

    The dimension of a count (dozen, percent, thirds) is empty. `letter`: the one letter that it is written as, which
    could also be a variable; else empty.
    """

    dimension: Dimension
    factor: Fraction
    letter: str = ""


_TABLE = (
    "metre|1/1000000000:nm nanometer nanometre|1/1000000:μm micrometer micrometre micron|1/1000:mm millimeter"
    " millimetre|1/100:cm centimeter centimetre|1/10:dm decimeter decimetre|1:m meter metre"
    "|1000:km kilometer kilometre kms|254/10000:inch inches|3048/10000:ft foot feet|9144/10000:yd yard"
    "|1609344/1000:mi mile",
    "gram|1/1000000:μg microgram|1/1000:mg milligram|1:g gram gramme|1000:kg kilogram kilo kgs|1000000:tonne"
    "|45359237/100000:lb lbs pound|45359237/1600000:oz ounce|90718474/100:ton",
    "second|1/1000000:μs microsecond|1/1000:ms millisecond|1:s sec second secs|60:min minute mins|3600:h hr hour hrs"
    "|86400:day|604800:week|1209600:fortnight",
    "litre|1/1000:ml milliliter millilitre|1/100:cl centiliter centilitre|1:l liter litre|473176473/125000000:gallon"
    " gal|473176473/500000000:quart qt|473176473/1000000000:pint pt|473176473/2000000000:cup"
    "|473176473/32000000000:tablespoon tbsp|473176473/96000000000:teaspoon tsp",
    "month|1:month|12:yr year yrs|120:decade|1200:century centuries",
    "dollar|1:dollar usd buck|1/100:cent ¢",
    "euro|1:euro eur",
    "sterling|1:gbp|1/100:pence penny",
    "yen|1:yen jpy",
    "rupee|1:rupee inr rs",
    "celsius|1:°c celsius",
    "fahrenheit|1:°f fahrenheit",
    "degree|1:degree °",
    "radian|1:radian rad",
    "kelvin|1:kelvin",
    "watt|1/1000:milliwatt|1:watt|1000:kw kilowatt|1000000:megawatt",
    "joule|1/1000:millijoule|1:joule|1000:kj kilojoule|1000000:megajoule|3600000:kwh",
    "calorie|1:calorie cal|1000:kcal kilocalorie",
    "newton|1:newton|1000:kn kilonewton",
    "pascal|1:pascal|1000:kpa kilopascal|1000000:megapascal|101325:atm atmosphere",
    "volt|1/1000:millivolt|1:volt|1000:kv kilovolt",
    "ampere|1/1000:milliampere milliamp|1:ampere amp",
    "ohm|1/1000:milliohm|1:ohm|1000:kω kiloohm kilohm|1000000:megaohm megohm",
    "coulomb|1:coulomb",
    "electronvolt|1:ev electronvolt|1000:kev|1000000:mev",
    "decibel|1:db decibel",
    "mole|1/1000:mmol millimole|1:mol mole|1000:kmol kilomole",
    "hertz|1:hz hertz|1000:khz kilohertz|1000000:mhz megahertz|1000000000:ghz gigahertz",
    "byte|1:byte|1000:kb kilobyte|1000000:mb megabyte|1000000000:gb gigabyte|1000000000000:tb terabyte",
    "acre|1:acre",
    "hectare|1:hectare ha",
    # counts
    "|12:dozen doz|2:pair couple|144:gross|1/100:% percent percentage pct|1/1000:‰ permille",
    "|1/2:half halves|1/3:third|1/4:quarter fourth|1/5:fifth|1/6:sixth|1/7:seventh|1/8:eighth|1/9:ninth|1/10:tenth"
    "|1/12:twelfth|1/16:sixteenth|1/20:twentieth|1/100:hundredth|1/1000:thousandth|1/1000000:millionth",
)
SYMBOLS = {  # that mean another unit, or nothing, in the other case
    "A": "ampere", "mA": "milliampere", "J": "joule", "mJ": "millijoule", "MJ": "megajoule", "V": "volt",
    "mV": "millivolt", "W": "watt", "mW": "milliwatt", "MW": "megawatt", "Pa": "pascal", "MPa": "megapascal",
    "N": "newton", "K": "kelvin", "\\Omega": "ohm", "mΩ": "milliohm", "MΩ": "megaohm",
}  # fmt: skip
_SPEEDS = {"mph": (1_609_344, 3_600_000), "kph": (1_000, 3_600), "kmh": (1_000, 3_600)}


def _table() -> dict[str, tuple[str, Fraction]]:
    table: dict[str, tuple[str, Fraction]] = {}
    for line in _TABLE:
        base, *entries = line.split("|")
        for entry in entries:
            size, names = entry.split(":")
            for name in names.split():
                table[name] = (base, Fraction(size))
                if len(name) > 2:
                    table.setdefault(name + "s", table[name])
    return table


UNITS = _table()
PERCENT = Unit((), Fraction(1, 100))
CURRENCY = {
    sign: Unit(((base, 1),), Fraction(1))
    for sign, base in (("$", "dollar"), ("€", "euro"), ("£", "sterling"), ("¥", "yen"), ("₹", "rupee"))
}
MONEY = frozenset(unit.dimension for unit in CURRENCY.values())
POUND = Unit((("gram", 1),), Fraction(45359237, 100000))
_TEMPERATURES = {"c": "celsius", "celsius": "celsius", "f": "fahrenheit", "fahrenheit": "fahrenheit"}
_POWERS = {"square": 2, "sq": 2, "cubic": 3, "cu": 3}


def find_unit(words: Sequence[str]) -> tuple[Unit | None, int]:
    """The unit that a row of tokens begins with, and how many tokens it takes; (None, 0) where it names none.

    Args:
        words: the tokens after a number, such as `["km", "/", "h"]`, `["square", "metres"]`, `["cm", "^", "2"]`.

    >>> find_unit(["km", "/", "h", "fast"])[0].dimension
    (('metre', 1), ('second', -1))
    """
    if not words:
        return None, 0
    first = words[0].casefold()
    if first == "per" and [word.casefold() for word in words[1:2]] == ["mille"]:
        return Unit((), Fraction(1, 1000)), 2
    if first in ("%", "percent", "percentage", "pct") or (
        first == "per" and [w.casefold() for w in words[1:2]] == ["cent"]
    ):
        return PERCENT, 1 + (first == "per")
    if first in CURRENCY:
        return CURRENCY[first], 1
    if first in _SPEEDS:
        return Unit((("metre", 1), ("second", -1)), Fraction(*_SPEEDS[first])), 1
    if first in ("°", "degree", "degrees"):
        scale = _TEMPERATURES.get(words[1].casefold()) if len(words) > 1 else None
        return (Unit(((scale, 1),), Fraction(1)), 2) if scale else (Unit((("degree", 1),), Fraction(1)), 1)
    return _compound(words)


def _compound(words: Sequence[str]) -> tuple[Unit | None, int]:
    """A product or quotient of named units with powers."""
    powers: dict[str, int] = {}
    factor = Fraction(1)
    sign, used, at = 1, 0, 0
    letter = ""
    while at < len(words):
        power = _POWERS.get(words[at].casefold(), 1)
        at += power > 1
        name = SYMBOLS.get(words[at], words[at].casefold()) if at < len(words) else ""
        if name == "in" and at + 1 < len(words) and words[at + 1].isalpha():
            break
        name = "inch" if name == "in" else name
        attached = 1
        if name[-1:] in ("2", "3") and name[:-1] in UNITS:  # cm2
            name, attached = name[:-1], int(name[-1])
        if name not in UNITS or (len(name) == 1 and words[at][:1] not in (name, "L")):
            break
        base, size = UNITS[name]
        if sign < 0 and base == "second" and ("metre" not in powers or size >= 86_400):
            break  # 3 miles per week: a rate, not a speed
        if len(words[at]) == 1 and name.isalpha() and not used:
            letter = words[at]
        at += 1
        written, taken = _power(words, at)
        power, at = power * written * attached, at + taken
        if base:
            powers[base] = powers.get(base, 0) + sign * power
        factor *= size ** (sign * power)
        used = at
        if sign < 0 or at >= len(words) or words[at].casefold() not in ("/", "per"):
            break
        sign, at = -1, at + 1
    if not used:
        return None, 0
    dimension = tuple(sorted((base, power) for base, power in powers.items() if power))
    return Unit(dimension, factor, letter if used == 1 else ""), used


def _power(words: Sequence[str], at: int) -> tuple[int, int]:
    """`^2`, `^{2}`, `2` attached, or "squared" after a unit, and how many tokens it takes."""
    row = [word.casefold() for word in words[at : at + 4]]
    if row[:1] in (["squared"], ["cubed"]):
        return (2 if row[0] == "squared" else 3), 1
    if row[:1] == ["^"] and row[1:2] in (["2"], ["3"]):
        return int(row[1]), 2
    if row[:2] == ["^", "{"] and row[2:3] in (["2"], ["3"]) and row[3:] == ["}"]:
        return int(row[2]), 4
    return 1, 0
