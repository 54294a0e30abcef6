"""Are two quantities the same, with the unit that the question asks for where one is not written?"""

from __future__ import annotations

from fractions import Fraction

from thinkaloud.domains.values.kinds import Number
from thinkaloud.domains.values.question import Asked
from thinkaloud.domains.values.units import PERCENT, POUND, UNITS, Unit
from thinkaloud.domains.values.vocabulary import word_set

_TEMPERATURES = frozenset({(("celsius", 1),), (("fahrenheit", 1),)})
_DEGREES = (("degree", 1),)
_STERLING = (("sterling", 1),)
DIFFERENT = "another value"
_SHORT_WORDS = word_set(
    "in all did non red so old men new big hot dry box egg day per to for the at on is as by of and are was he she it "
    "we you its her his had has can bag cup pen toy car cat dog cow pig hen bus pie top day he'd now left due too who "
    "ago go got sea th st nd rd gum ice tea oil eat fit get pay put run say see set sit try use win won off up own few "
    "far"
)


def same_quantity(gold: Number, answer: Number, asked: Asked) -> str:
    """The empty string where `answer` is `gold`, else why not."""
    if gold.per and answer.per and gold.per != answer.per and UNITS.get(gold.per) != UNITS.get(answer.per, ("", 0)):
        return f"per {answer.per}, not per {gold.per}"
    is_unasked_rate = answer.per and not gold.per and answer.unit is not None and (asked.unit or asked.count)
    is_share = answer.per not in UNITS and not asked.words.isdisjoint(("each", "per", "every"))
    if is_unasked_rate and not is_share and asked.words.isdisjoint((answer.per, answer.per + "s")):
        return f"a rate per {answer.per}"
    wanted = gold.unit
    if wanted is None:
        return _to_bare(gold, answer, asked)
    unit = answer.unit
    if unit is None:
        return _bare(gold, answer, asked)
    if _is_same_kind(wanted, unit):
        return "" if gold.value == answer.value else DIFFERENT
    if wanted.dimension != unit.dimension:
        return "a unit of another kind"
    return "" if gold.size == answer.size else DIFFERENT


def is_plain(noun: str, asked: Asked) -> bool:
    """Whether the words after a number are a common word or one of the question's, not a unit or variables."""
    first = noun.split(" ", 1)[0]
    return first in _SHORT_WORDS or first in asked.words


def _is_same_kind(wanted: Unit, unit: Unit) -> bool:
    """Degrees for a temperature, pounds for sterling."""
    if unit.dimension == _DEGREES and wanted.dimension in _TEMPERATURES:
        return True
    return unit == POUND and wanted.dimension == _STERLING


def _is_its_temperature(unit: Unit, asked: Asked) -> bool:
    """Whether degrees are asked for, and `unit` is the one temperature that the question mentions."""
    if asked.unit is None or asked.unit.dimension != _DEGREES or unit.dimension not in _TEMPERATURES:
        return False
    return [dimension for dimension in asked.units if dimension in _TEMPERATURES] == [unit.dimension]


def _bare(gold: Number, answer: Number, asked: Asked) -> str:
    """A number without a unit for a gold answer with one: in the gold answer's unit."""
    assert gold.unit is not None
    if gold.unit.dimension and answer.noun and not is_plain(answer.noun, asked):
        return f"{answer.noun} is another unit"
    if gold.value == answer.value:
        return ""
    if not gold.unit.dimension and gold.size == answer.value and not asked.percent:
        return ""  # 0.6 is 60%
    return DIFFERENT


def _to_bare(gold: Number, answer: Number, asked: Asked) -> str:
    """A gold answer without a unit: the question says which one it has."""
    unit = answer.unit
    if unit is None:
        return "" if gold.value == answer.value or _is_float_noise(gold, answer) else DIFFERENT
    if not unit.dimension:
        return _count(gold, answer, asked)
    if asked.unit is not None:
        if _is_same_kind(asked.unit, unit) or _is_its_temperature(unit, asked):
            return "" if gold.value == answer.value else DIFFERENT
        if asked.unit.dimension != unit.dimension:
            return "a unit of another kind than the question's"
        return "" if gold.value * asked.unit.factor == answer.size else DIFFERENT
    if asked.percent:
        return "a unit, where a percentage is asked"
    if asked.count or gold.noun:
        return "a unit, where a number of things is asked"
    return _mentioned(gold, answer, asked)


def _mentioned(gold: Number, answer: Number, asked: Asked) -> str:
    """No unit is asked for by name: the question must not mention another one of this kind."""
    assert answer.unit is not None
    sizes = asked.units.get(answer.unit.dimension, frozenset())
    if not sizes:
        if answer.unit.letter:
            return "a letter that may be a unit or a factor"
        return "" if gold.value == answer.value else DIFFERENT
    if len(sizes) > 1:
        return "one of several units that the question mentions"
    (size,) = sizes
    return "" if gold.value * size == answer.size else DIFFERENT


def _count(gold: Number, answer: Number, asked: Asked) -> str:
    """A dozen, a percentage or thirds, for a bare number."""
    assert answer.unit is not None
    asked_same = asked.unit is not None and asked.unit == answer.unit
    if answer.unit == PERCENT and asked.percent:
        return "" if gold.value == answer.value else DIFFERENT
    if asked_same:
        return "" if gold.value == answer.value else DIFFERENT
    if asked.unit is not None and asked.unit.dimension:
        return "a count, where a unit is asked"
    if asked.unit is None and not asked.count and gold.value == answer.value and _names(answer.unit) & asked.words:
        return ""  # the number of pairs
    return "" if gold.value == answer.size else DIFFERENT


def _is_float_noise(gold: Number, answer: Number) -> bool:
    """A gold answer such as 0.30000000000000004, stored as a float, for the answer 0.3."""
    if gold.form != "decimal":
        return False
    value, size = gold.value, float(gold.value)
    digits = str(gold.value.denominator)
    if len(digits) < 16 or not size:
        return False
    short = Fraction(f"{size:.12g}")
    return short == answer.value and abs(short - value) < abs(value) / 10**15


def _names(unit: Unit) -> frozenset[str]:
    """The words for a count, such as dozen."""
    return frozenset(name for name, entry in UNITS.items() if entry == ("", unit.factor) and name.isalpha()) - {
        "percent"
    }
