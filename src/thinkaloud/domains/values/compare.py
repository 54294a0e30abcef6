"""Is an answer's value the gold answer's? By type, and in the form that the question asks for."""

from __future__ import annotations

from thinkaloud.domains.values.evaluate import equal, ratio_sign
from thinkaloud.domains.values.exact import Undefined
from thinkaloud.domains.values.forms import has_product_of_sums, has_square_factor, is_sum, number_form
from thinkaloud.domains.values.kinds import (
    Based,
    Clock,
    Collection,
    Expression,
    Interval,
    Matrix,
    Node,
    Number,
    Piece,
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
        return _interval(gold, answer)
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
        return "left unevaluated, or another value"
    if not isinstance(answer, Number):
        return "not one number"
    if gold.name and answer.name and gold.name != answer.name:
        return f"the value of {answer.name}, not of {gold.name}"
    for side in answer.label:
        content = [word for word in side.split() if word not in _FUNCTION_WORDS]
        is_known = any(word in LABELS or word in asked.words for word in content)
        if content and not is_known and len(content[-1]) > 1:
            return f"{content[0]} does not occur in the question"
    if 0 < len(answer.noun.split(" ", 1)[0]) <= 3 and not is_plain(answer.noun, asked) and answer.noun != gold.noun:
        return f"{answer.noun} may be variables"
    return same_quantity(gold, answer, asked) or number_form(gold, answer, asked)


def _equal(one: Node, other: Node) -> bool:
    try:
        return one == other or equal(one, other)
    except Undefined:
        return False


def _expression(gold: Expression, answer: Value, asked: Asked) -> str:
    if gold.name and isinstance(answer, Relation):
        return "" if _relation(_as_relation(gold), answer) else "another relation"
    if isinstance(answer, Number) and (answer.unit or answer.noun or answer.per):
        return "a number with a unit, not an expression"
    node = node_of(answer)
    name = answer.name if isinstance(answer, Number | Expression) else ""
    if node is None:
        return "not an expression"
    if gold.name and name and gold.name != name and not _is_function(gold.name, name):
        return f"{name} is given, not {gold.name}"
    if not _equal(gold.node, node):
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
        return _interval(_interval_of(gold), answer)
    if isinstance(answer, Interval) and gold.kind == "tuple" and len(gold.items) == 2:
        return _interval(_interval_of(gold), answer) if _about_intervals(asked) else "an interval, not a pair"
    if not isinstance(answer, Collection):
        return "not a list"
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


def _interval_of(pair: Collection) -> Interval:
    """`(1, 2)` or `[1, 2]` read as an interval."""
    low, high = (node_of(item) for item in pair.items)
    closed = pair.kind == "closed"
    return Interval((Piece(low, high, (closed, closed)),))


def _interval(gold: Interval, answer: Value) -> str:
    if isinstance(answer, Collection) and answer.kind in ("tuple", "closed") and len(answer.items) == 2:
        answer = _interval_of(answer)
    if not isinstance(answer, Interval):
        return "not an interval"
    if gold.name and answer.name and gold.name != answer.name:
        return "an interval of another variable"
    if len(gold.pieces) != len(answer.pieces):
        return "another interval"
    left = list(answer.pieces)
    for piece in gold.pieces:
        match = next((other for other in left if _same_piece(piece, other)), None)
        if match is None:
            return "another interval"
        left.remove(match)
    return ""


def _same_piece(one: Piece, other: Piece) -> bool:
    if one.closed != other.closed:
        return False
    for a, b in ((one.low, other.low), (one.high, other.high)):
        if (a is None) != (b is None) or (a is not None and b is not None and not _equal(a, b)):
            return False
    return True


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
