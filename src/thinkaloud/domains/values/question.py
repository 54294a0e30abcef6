"""What a question asks for: a unit, a form, an order."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import cached_property, lru_cache

from thinkaloud.domains.values.units import CURRENCY, MONEY, SYMBOLS, UNITS, Dimension, Unit, find_unit
from thinkaloud.domains.values.vocabulary import word_set

MAX_CHARS = 20_000

_WORD = re.compile(r"[^\W\d_]+|[%$€£¥₹¢°/^]|\d")
_SENTENCE_END = re.compile(r"(?<=[.?!])\s+|\n+")
_HOW_MANY_STOPS = word_set(
    "of in are is did does do can will has have were would should must was if per were there to at on for he she it "
    "they we you i each every"
)
_SPECIAL = frozenset({"°", "degrees", "square", "cubic", "mph", "kmh", "kph"})
_ADJECTIVES = word_set(
    "more less fewer additional total whole full extra us fluid american calendar working business long further "
    "combined excess different passing"
)
_PERCENT = re.compile(
    r"\b(?:what|which|how many|find the|calculate the|the)\s+(?:\w+\s+){0,2}?(?:percent(?:age)?\b|per cent\b|%)"
    r"|\b(?:as|in|to) an?? ?(?:percent(?:age)?\b|%)|\bby (?:what|how many) percent|\bin percent",
    re.IGNORECASE,
)
_COUNT = re.compile(r"\bhow many\s+([^?.!,;]*)", re.IGNORECASE)
_IN_UNIT = re.compile(
    r"\b(?:in|to|into|as|number of)\s+((?:square|cubic|us|degrees?)?\s*[a-z°]+(?:\s*(?:per|/)\s*[a-z]+)?)",
    re.IGNORECASE,
)
_MONEY_WORDS = re.compile(
    r"\b(?:cost|costs|price|paid|pay|pays|earn\w*|spend\w*|spent|money|profit|sav(?:e|es|ed|ings)|worth|charge\w*|owe\w*"
    r"|bill|salary|wage\w*|fee|revenue|income|change|budget|sale|total|donat\w+|make|made|raise\w*|left|value|balance)\b",
    re.IGNORECASE,
)
_AMOUNT = re.compile(r"\bhow much\b|\bprice\b|\bcost\b", re.IGNORECASE)
_OTHER_QUANTITY = re.compile(r"\bhow (?:long|far|tall|heavy|many|old)\b|\bwhen\b", re.IGNORECASE)
SIMPLEST = re.compile(r"\b(?:simplest|lowest\s+terms|simplif\w+|reduced?|irreducible)\b", re.IGNORECASE)
DECIMAL = re.compile(r"\b(?:as|into|to|in|its?)\s+(?:an?\s+|its\s+)?(?:\w+\s+)?decimals?\b", re.IGNORECASE)
_AS_FRACTION = re.compile(r"\b(?:as|into|to)\s+an?\s+(?:\w+\s+){0,2}fraction\b", re.IGNORECASE)
MIXED = re.compile(r"\bmixed\s+(?:number|fraction)\b", re.IGNORECASE)
EXPAND = re.compile(r"\b(?:expand|multiply\s+out|remove\s+the\s+(?:brackets|parentheses))", re.IGNORECASE)
FACTOR = re.compile(r"\b(?:factor|factori[sz]e)\b", re.IGNORECASE)
_AFTERNOON = re.compile(r"\bp\.?m\b|\bafternoon|\bevening", re.IGNORECASE)
_MORNING = re.compile(r"\ba\.?m\b|\bmorning", re.IGNORECASE)
ROUNDED = re.compile(
    r"\b(?:round\w*|approximat\w+|estimat\w+|nearest\s+(?:\w+th|cent|dollar|whole|integer|percent|unit|ten|hundred|thousand|degree|minute|number)s?|decimal\s+places?|significant)\b",
    re.IGNORECASE,
)
ORDERED = re.compile(
    r"\b(?:order|sort|rank|arrange|ascending|descending|increasing|decreasing|respectively|sequence|coordinates?|pair"
    r"|next|terms|from\s+(?:least|smallest|largest|greatest|the)|vector|point)\b",
    re.IGNORECASE,
)
UNORDERED = re.compile(
    r"\b(?:solutions?|solve|roots?|zeros|zeroes|all\s+(?:the\s+|real\s+|possible\s+|integer\s+|prime\s+|positive\s+)*"
    r"(?:values?|numbers?|integers?|factors?|divisors?|primes?|\w)|factors?|divisors?|which\s+(?:numbers|values))\b",
    re.IGNORECASE,
)


class Asked:
    """What a question asks for; each fact is read from the text when it is first needed.

    Args:
        text: the question. Of a very long one only the end counts.
    """

    def __init__(self, text: str) -> None:
        self.text = text[-MAX_CHARS:]

    @cached_property
    def asking(self) -> str:
        """The last sentence that asks."""
        sentences = [part for part in _SENTENCE_END.split(self.text) if part.strip()]
        return next((part for part in reversed(sentences) if "?" in part), sentences[-1] if sentences else "")

    @cached_property
    def words(self) -> frozenset[str]:
        """Its words."""
        if self.text.isascii():
            return frozenset(_WORD.findall(self.text.lower()))
        return frozenset(word.casefold() for word in _WORD.findall(self.text))

    @cached_property
    def _mentioned(self) -> dict[Dimension, set[Fraction]]:
        return _units_in(self.text)

    @cached_property
    def units(self) -> dict[Dimension, frozenset[Fraction]]:
        """The sizes of units that the question mentions, by dimension; where there are several, the asking one."""
        here = _units_in(self.asking)
        return {
            dimension: frozenset(here[dimension] if len(sizes) > 1 and len(here.get(dimension, ())) == 1 else sizes)
            for dimension, sizes in self._mentioned.items()
        }

    @cached_property
    def _how_many(self) -> tuple[Unit | None, bool]:
        match = _COUNT.search(self.asking)
        return _read_how_many(match[1]) if match else (_named_unit(self.asking, self._mentioned), False)

    @cached_property
    def unit(self) -> Unit | None:
        """The unit in which the answer is wanted."""
        return self._how_many[0]

    @cached_property
    def count(self) -> bool:
        """A number of things that are no unit is wanted ("How many apples …")."""
        return self._how_many[1] and not self.percent

    @cached_property
    def percent(self) -> bool:
        """A percentage is wanted."""
        return _PERCENT.search(self.asking) is not None

    @cached_property
    def fraction(self) -> bool:
        """A fraction is wanted, not a decimal."""
        return self.asks(_AS_FRACTION) or (self.simplest and "fraction" in self.text.casefold())

    @cached_property
    def simplest(self) -> bool:
        """Lowest terms, or a simplified expression, are wanted."""
        return self.asks(SIMPLEST)

    @cached_property
    def meridiem(self) -> str:
        """The half of the day that the question speaks of: "a", "p" or neither."""
        afternoon, morning = self.asks(_AFTERNOON), self.asks(_MORNING)
        return "p" if afternoon and not morning else "a" if morning and not afternoon else ""

    def asks(self, wish: re.Pattern[str]) -> bool:
        """Whether a pattern of this module (`DECIMAL`, `EXPAND`, …) occurs in the question."""
        return wish.search(self.text) is not None


@lru_cache(maxsize=512)
def read_question(text: str) -> Asked:
    """What `text` asks for."""
    return Asked(text)


def _read_how_many(phrase: str) -> tuple[Unit | None, bool]:
    """The unit after "how many", and whether the phrase names things that are no unit."""
    words = _WORD.findall(phrase)
    for at, word in enumerate(words):
        if word.casefold() in _ADJECTIVES:
            continue
        if word.casefold() in _HOW_MANY_STOPS or word.isdigit():
            return None, at > 0
        unit, used = find_unit(words[at:]) if len(word) > 1 or word in ("m", "g", "%") else (None, 0)
        if used and unit is not None:
            return unit, False
        return None, True
    return None, False


def _named_unit(asking: str, mentioned: dict[Dimension, set[Fraction]]) -> Unit | None:
    """The unit of "in metres" or "how old", or the currency of a question about money."""
    for match in _IN_UNIT.finditer(asking):
        words = _WORD.findall(match[1])
        unit, used = find_unit(words)
        if used == len(words) and unit and unit.dimension and not unit.letter:
            return unit
    if re.search(r"\bhow old\b", asking, re.IGNORECASE):
        return find_unit(["year"])[0]
    money = [dim for dim in mentioned if dim in MONEY]
    is_amount = _OTHER_QUANTITY.search(asking) is None and _AMOUNT.search(asking)
    if len(money) == 1 and is_amount and (_MONEY_WORDS.search(asking) or len(mentioned) == 1):
        return next(unit for unit in CURRENCY.values() if unit.dimension == money[0])
    return None


def _units_in(text: str) -> dict[Dimension, set[Fraction]]:
    """Sizes of the units in a text, by dimension; letters count only after a digit."""
    found: dict[Dimension, set[Fraction]] = {}
    words = _WORD.findall(text)
    before = ""
    for at, word in enumerate(words):
        name = word.casefold()
        known = name in CURRENCY or name in UNITS or word in SYMBOLS or name in _SPECIAL
        if known and (len(name) > 1 or not name.isalpha() or before.isdigit()):
            unit, used = find_unit(words[at : at + 4])
            if used and unit and unit.dimension:
                found.setdefault(unit.dimension, set()).add(unit.factor)
        before = word
    return found
