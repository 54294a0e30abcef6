"""Are two intervals the same? Also where one is written as a pair."""

from __future__ import annotations

from thinkaloud.domains.values.evaluate import same
from thinkaloud.domains.values.kinds import Collection, Interval, Piece, Value, node_of


def interval_of(pair: Collection) -> Interval:
    """`(1, 2)` or `[1, 2]` read as an interval."""
    low, high = (node_of(item) for item in pair.items)
    closed = pair.kind == "closed"
    return Interval((Piece(low, high, (closed, closed)),))


def compare_interval(gold: Interval, answer: Value) -> str:
    if isinstance(answer, Collection) and answer.kind in ("tuple", "closed") and len(answer.items) == 2:
        answer = interval_of(answer)
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
        if (a is None) != (b is None) or (a is not None and b is not None and not same(a, b)):
            return False
    return True
