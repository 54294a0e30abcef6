"""What a question asks for: a unit, a form, an order."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from thinkaloud.domains.values.units import CURRENCY, MONEY, UNITS, Dimension, Unit, find_unit
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
_SIMPLEST = re.compile(r"\b(?:simplest|lowest\s+terms|simplif\w+|reduced?|irreducible)\b", re.IGNORECASE)
_AS_DECIMAL = re.compile(r"\b(?:as|into|to|in|its?)\s+(?:an?\s+|its\s+)?(?:\w+\s+)?decimals?\b", re.IGNORECASE)
_AS_FRACTION = re.compile(r"\b(?:as|into|to)\s+an?\s+(?:\w+\s+){0,2}fraction\b", re.IGNORECASE)
_AS_MIXED = re.compile(r"\bmixed\s+(?:number|fraction)\b", re.IGNORECASE)
_EXPAND = re.compile(r"\b(?:expand|multiply\s+out|remove\s+the\s+(?:brackets|parentheses))", re.IGNORECASE)
_FACTOR = re.compile(r"\b(?:factor|factori[sz]e)\b", re.IGNORECASE)
_ROUNDED = re.compile(
    r"\b(?:round\w*|approximat\w+|estimat\w+|nearest\s+(?:\w+th|cent|dollar|whole|integer|percent|unit|ten|hundred|thousand|degree|minute|number)s?|decimal\s+places?|significant)\b",
    re.IGNORECASE,
)
_ORDERED = re.compile(
    r"\b(?:order|sort|rank|arrange|ascending|descending|increasing|decreasing|respectively|sequence|coordinates?|pair"
    r"|next|terms|from\s+(?:least|smallest|largest|greatest|the)|vector|point)\b",
    re.IGNORECASE,
)
_UNORDERED = re.compile(
    r"\b(?:solutions?|solve|roots?|zeros|zeroes|all\s+(?:the\s+|real\s+|possible\s+|integer\s+|prime\s+|positive\s+)*"
    r"(?:values?|numbers?|integers?|factors?|divisors?|primes?|\w)|factors?|divisors?|which\s+(?:numbers|values))\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a question asks for.

    unit: the unit in which the answer is wanted; count: a number of things that are no unit ("How many apples …").
    percent: a percentage is asked. units: the sizes that the question mentions, by dimension. words: its words.
    """

    text: str
    unit: Unit | None
    count: bool
    percent: bool
    units: dict[Dimension, frozenset[object]]
    words: frozenset[str]
    simplest: bool
    decimal: bool
    fraction: bool
    mixed: bool
    expand: bool
    factor: bool
    rounded: bool
    unordered: bool
    ordered: bool
    meridiem: str


@lru_cache(maxsize=512)
def read_question(text: str) -> Asked:
    """What `text` asks for. Linear in the text; of a very long question only the end counts."""
    text = text[-MAX_CHARS:]
    sentences = [part for part in _SENTENCE_END.split(text) if part.strip()]
    asking = next((part for part in reversed(sentences) if "?" in part), sentences[-1] if sentences else "")
    percent = bool(_PERCENT.search(asking))
    count = _COUNT.search(asking)
    unit, counted = _how_many(count[1]) if count else (None, False)
    mentioned = _mentioned(text)
    if count is None and unit is None:
        unit = _named_unit(asking, mentioned)
    here = _mentioned(asking)
    merged = {
        dim: here.get(dim) if len(sizes) > 1 and len(here.get(dim, ())) == 1 else sizes
        for dim, sizes in mentioned.items()
    }
    simplest = bool(_SIMPLEST.search(text))
    lowered = text.casefold()
    afternoon = bool(re.search(r"\bp\.?m\b|\bafternoon|\bevening", lowered))
    morning = bool(re.search(r"\ba\.?m\b|\bmorning", lowered))
    return Asked(
        text=text,
        unit=unit,
        count=counted and not percent,
        percent=percent,
        units={dim: frozenset(sizes or ()) for dim, sizes in merged.items()},
        words=frozenset(word.casefold() for word in _WORD.findall(text)),
        simplest=simplest,
        decimal=bool(_AS_DECIMAL.search(text)),
        fraction=bool(_AS_FRACTION.search(text)) or (simplest and "fraction" in lowered),
        mixed=bool(_AS_MIXED.search(text)),
        expand=bool(_EXPAND.search(text)),
        factor=bool(_FACTOR.search(text)),
        rounded=bool(_ROUNDED.search(text)),
        unordered=bool(_UNORDERED.search(text)),
        ordered=bool(_ORDERED.search(text)),
        meridiem="p" if afternoon and not morning else "a" if morning and not afternoon else "",
    )


def _how_many(phrase: str) -> tuple[Unit | None, bool]:
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


def _named_unit(asking: str, mentioned: dict[Dimension, set[object]]) -> Unit | None:
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


def _mentioned(text: str) -> dict[Dimension, set[object]]:
    """Sizes of the units in a text, by dimension; letters count only after a digit."""
    found: dict[Dimension, set[object]] = {}
    words = _WORD.findall(text)
    before = ""
    for at, word in enumerate(words):
        name = word.casefold()
        known = name in CURRENCY or name in UNITS or name in _SPECIAL
        if known and (len(name) > 1 or not name.isalpha() or before.isdigit()):
            unit, used = find_unit(words[at : at + 4])
            if used and unit and unit.dimension:
                found.setdefault(unit.dimension, set()).add(unit.factor)
        before = word
    return found
