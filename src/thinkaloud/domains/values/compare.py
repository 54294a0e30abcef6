"""Is an answer's value the gold answer's? By type, and in the form that the question asks for."""

from __future__ import annotations

from fractions import Fraction

from thinkaloud.domains.values.evaluate import ratio_sign, same
from thinkaloud.domains.values.forms import has_product_of_sums, has_square_factor, is_sum, number_form
from thinkaloud.domains.values.intervals import compare_interval, interval_of
from thinkaloud.domains.values.kinds import (
    Based,
    Clock,
    Collection,
    Expression,
    Interval,
    Matrix,
    Number,
    Relation,
    Unread,
    Value,
    node_of,
)
from thinkaloud.domains.values.quantities import is_plain, same_quantity
from thinkaloud.domains.values.question import EXPAND, FACTOR, ORDERED, UNORDERED, Asked
from thinkaloud.domains.values.vocabulary import word_set

LABELS = word_set(
    "answer total result sum cost price profit number amount value area volume length distance time speed perimeter "
    "difference product quotient remainder average mean age money altogether probability solution slope height width "
    "weight change percent percentage rate"
)
_FUNCTION_WORDS = word_set(
    "the of in all final so thus therefore hence is my a an and for each per left we get it that this to her his their "
    "on at by with from there then now"
)


def compare(gold: Value, answer: Value, asked: Asked) -> str:
    """The empty string where `answer` is `gold`, else why not."""
    if isinstance(answer, Unread):
        return answer.why
    if isinstance(gold, Number):
        return _number(gold, answer, asked)
    if isinstance(gold, Expression):
        return _expression(gold, answer, asked)
    if isinstance(gold, Collection):
        return _collection(gold, answer, asked)
    if isinstance(gold, Interval):
        return compare_interval(gold, answer)
    if isinstance(gold, Relation):
        return "" if _relation(gold, answer) else "another relation"
    if isinstance(gold, Matrix):
        return _matrix(gold, answer, asked)
    if isinstance(gold, Clock):
        return "" if isinstance(answer, Clock) and _clock(gold, answer, asked) else "another time"
    if isinstance(gold, Based):
        return _based(gold, answer, asked)
    return "values that cannot be compared"


def _number(gold: Number, answer: Value, asked: Asked) -> str:
    if isinstance(answer, Collection) and answer.kind == "set" and len(answer.items) == 1:
        answer = answer.items[0]
    if isinstance(answer, Expression):
        return "" if _is_product(gold, answer) else "left unevaluated, or another value"
    if not isinstance(answer, Number):
        return "not one number"
    if gold.name and answer.name and gold.name != answer.name:
        return f"the value of {answer.name}, not of {gold.name}"
    if not gold.name and not _is_asked(answer.name, asked):
        return f"{answer.name} does not occur in the question"
    for side in answer.label:
        content = [word for word in side.split() if word not in _FUNCTION_WORDS]
        is_known = any(word in LABELS or word in asked.words for word in content)
        if content and not is_known and len(content[-1]) > 1:
            return f"{content[0]} does not occur in the question"
    if 0 < len(answer.noun.split(" ", 1)[0]) <= 3 and not is_plain(answer.noun, asked) and answer.noun != gold.noun:
        return f"{answer.noun} may be variables"
    return same_quantity(gold, answer, asked) or number_form(gold, answer, asked)


def _is_product(number: Number, product: Expression) -> bool:
    """Whether `product` is `6*m` or `m*6` and `number` is `6m`, whose unit may be a variable."""
    if number.unit is None or not number.unit.letter or product.node[0] != "*":
        return False
    return set(product.node[1:]) == {("num", number.value), ("var", number.unit.letter)}


def _is_asked(name: str, asked: Asked) -> bool:
    """Whether the segments that a name such as `AB/CD` consists of occur in the question; other names may be new."""
    parts = name.split("/")
    return not all(len(part) == 2 and part.isupper() for part in parts) or asked.words.issuperset(
        part.casefold() for part in parts
    )


def _expression(gold: Expression, answer: Value, asked: Asked) -> str:
    if gold.name and isinstance(answer, Relation):
        return "" if _relation(_as_relation(gold), answer) else "another relation"
    if isinstance(answer, Number) and _is_product(answer, gold):
        return ""
    if isinstance(answer, Number) and (answer.unit or answer.noun or answer.per):
        return "a number with a unit, not an expression"
    node = node_of(answer)
    name = answer.name if isinstance(answer, Number | Expression) else ""
    if node is None:
        return "not an expression"
    if gold.name and name and gold.name != name and not _is_function(gold.name, name):
        return f"{name} is given, not {gold.name}"
    if not gold.name and not _is_asked(name, asked):
        return f"{name} does not occur in the question"
    if not same(gold.node, node):
        return "another expression"
    if asked.asks(EXPAND) and has_product_of_sums(node) and not has_product_of_sums(gold.node):
        return "not expanded"
    if asked.asks(FACTOR) and is_sum(node) and not is_sum(gold.node):
        return "not factored"
    if asked.simplest and has_square_factor(node) and not has_square_factor(gold.node):
        return "a root that is not simplified"
    return ""


def _is_function(one: str, other: str) -> bool:
    """`y` and `f(x)` name the same thing."""
    return ("(" in one) != ("(" in other) and "y" in (one, other)


def _as_relation(value: Expression) -> Relation:
    """`y = 2x + 1` as an equation."""
    return Relation("=", ("var", value.name), value.node)


def _relation(gold: Relation, answer: Value) -> bool:
    """The same relation up to a factor: not zero for `=` and `!=`, positive for inequalities."""
    if isinstance(answer, Expression | Number) and answer.name and len(answer.name) == 1:
        node = node_of(answer)
        assert node is not None
        answer = Relation("=", ("var", answer.name), node)
    if not isinstance(answer, Relation) or gold.op != answer.op:
        return False
    sign = ratio_sign(("-", gold.left, gold.right), ("-", answer.left, answer.right))
    return sign != 0 if gold.op in ("=", "!=") else sign > 0


def _collection(gold: Collection, answer: Value, asked: Asked) -> str:
    if gold.kind == "set" and len(gold.items) == 1 and isinstance(answer, Number | Expression):
        return compare(gold.items[0], answer, asked)
    if isinstance(answer, Interval) and gold.kind == "closed" and len(gold.items) == 2:
        return compare_interval(interval_of(gold), answer)
    if isinstance(answer, Interval) and gold.kind == "tuple" and len(gold.items) == 2:
        return compare_interval(interval_of(gold), answer) if _about_intervals(asked) else "an interval, not a pair"
    if isinstance(answer, Clock) and gold.kind == "ratio":
        answer = _ratio_of(answer)
    if not isinstance(answer, Collection):
        return "not a list"
    if gold.name and answer.name and gold.name != answer.name:
        return f"{answer.name} is given, not {gold.name}"
    if len(gold.items) != len(answer.items):
        return "another number of values"
    if not _compatible(gold.kind, answer.kind):
        return f"a {answer.kind}, not a {gold.kind}"
    ordered = _is_ordered(gold.kind, asked)
    if all(not compare(one, other, asked) for one, other in zip(gold.items, answer.items, strict=True)):
        return ""
    if ordered:
        return "other values, or another order"
    return "" if _same_set(gold, answer, asked) else "other values"


def _ratio_of(time: Clock) -> Value:
    """`11:21` read as a ratio, where the gold answer says that it is one."""
    hours, minutes = divmod(time.minutes, 60)
    if time.meridiem or minutes.denominator != 1:
        return time
    return Collection((Number(Fraction(hours)), Number(minutes)), "ratio")


def _compatible(gold: str, answer: str) -> bool:
    """`ratio` and `set` are not to be mistaken for pairs; a row without brackets can be any of them but a ratio."""
    if "ratio" in (gold, answer):
        return gold == answer
    if "closed" in (gold, answer):
        return gold == answer or "list" in (gold, answer)
    if gold == "set":
        return answer != "tuple"
    if gold == "tuple":
        return answer != "set"
    return True


def _is_ordered(kind: str, asked: Asked) -> bool:
    if kind in ("tuple", "closed", "ratio"):
        return True
    if kind == "set":
        return False
    if kind == "row":
        return asked.asks(ORDERED) and not asked.asks(UNORDERED)
    return asked.asks(ORDERED) or not asked.asks(UNORDERED)


def _same_set(gold: Collection, answer: Collection, asked: Asked) -> bool:
    """Each value once, in any order."""
    left = list(answer.items)
    for one in gold.items:
        for at, other in enumerate(left):
            if not compare(one, other, asked):
                del left[at]
                break
        else:
            return False
    return not left


def _about_intervals(asked: Asked) -> bool:
    return not {"interval", "intervals", "inequality", "domain", "range", "solve", "values"}.isdisjoint(asked.words)


def _matrix(gold: Matrix, answer: Value, asked: Asked) -> str:
    if not isinstance(answer, Matrix) or [len(row) for row in gold.rows] != [len(row) for row in answer.rows]:
        return "not a matrix of this size"
    pairs = [(a, b) for one, other in zip(gold.rows, answer.rows, strict=True) for a, b in zip(one, other, strict=True)]
    return "" if all(not compare(a, b, asked) for a, b in pairs) else "another matrix"


def _clock(gold: Clock, answer: Clock, asked: Asked) -> bool:
    """Without am and pm a time is read on 24 hours, or as the question's half of the day."""
    if gold.meridiem == answer.meridiem:
        return gold.minutes == answer.minutes
    if not gold.meridiem:
        wanted = asked.meridiem or "a"
        if gold.minutes < 780 and answer.meridiem:
            return answer.meridiem == wanted and answer.minutes % 720 == gold.minutes % 720
        return gold.minutes == answer.minutes
    return gold.minutes == answer.minutes and (answer.minutes >= 780 or asked.meridiem == gold.meridiem)


def _based(gold: Based, answer: Value, asked: Asked) -> str:
    if isinstance(answer, Number) and answer.form == "integer" and not answer.unit and "base" in asked.words:
        return "" if str(answer.value) == gold.digits else "other digits"
    return "" if answer == gold else "other digits, or another base"
