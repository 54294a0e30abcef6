"""Encode plain Python values by exact type, and decode hostile bytes safely.

The solver encodes what the program returned; the trainer decodes it. Only exact built-in types pass: an `int` subclass
with a manipulated `__eq__` has no encoding, so the trainer only compares values of trustworthy types.
`decode` takes hostile bytes: it either returns a value or raises `CodecError`, in time linear in the input. Guards:
size, depth, nodes, integer bits (a Fraction's gcd and a Decimal's conversion are quadratic), and equal hashes within
one set or dict (a set of n multiples of 2**61 - 1 takes n**2 comparisons to build).
"""

from __future__ import annotations

import struct
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from decimal import Decimal
from fractions import Fraction
from typing import Any

MAX_BYTES = 1_000_000
MAX_DEPTH = 100
MAX_NODES = 200_000
MAX_INT_BYTES = 32_768
MAX_FRACTION_BYTES = 2_048
MAX_DECIMAL_CHARS = 8_192
MAX_EQUAL_HASHES = 32
MAX_COLLISIONS = 4_096

_LENGTH = struct.Struct(">I")
_FLOAT = struct.Struct(">d")
_COMPLEX = struct.Struct(">dd")


class CodecError(ValueError):
    """The value has no encoding, or the bytes encode no value."""


def _int_bytes(value: int, limit: int = MAX_INT_BYTES) -> bytes:
    num_bytes = value.bit_length() // 8 + 1
    if num_bytes > limit:
        raise CodecError(f"an integer of {value.bit_length()} bits is too large")
    return value.to_bytes(num_bytes, "big", signed=True)


_SEQUENCES: dict[type, bytes] = {list: b"l", tuple: b"t", set: b"s", frozenset: b"z", deque: b"q"}
_MAPPINGS: dict[type, bytes] = {dict: b"d", defaultdict: b"d", OrderedDict: b"o", Counter: b"k"}


def _leaf(value: Any, kind: type) -> bytes | None:
    """The encoding of a value without children; None for a container; raises for any other type."""
    if value is None:
        return b"N"
    if kind is bool:
        return b"T" if value else b"F"
    if kind is float:
        return b"f" + _FLOAT.pack(value)
    if kind is complex:
        return b"c" + _COMPLEX.pack(value.real, value.imag)
    if kind is int:
        tag, body = b"i", _int_bytes(value)
    elif kind is str:
        if len(value) > MAX_BYTES:
            raise CodecError(f"a str of {len(value)} characters is too large")
        tag, body = b"u", value.encode("utf-8", "surrogatepass")
    elif kind is bytes:
        tag, body = b"b", value
    elif kind is bytearray:
        tag, body = b"a", bytes(value[: MAX_BYTES + 1])
    elif kind is Decimal:
        tag, body = b"D", str(value).encode("ascii")
        if len(body) > MAX_DECIMAL_CHARS:
            raise CodecError("a Decimal of that many digits is too large")
    else:
        return None
    if len(body) > MAX_BYTES:
        raise CodecError(f"a {kind.__name__} of {len(body)} bytes is too large")
    return tag + _LENGTH.pack(len(body)) + body


def _children(value: Any, kind: type) -> tuple[bytes, int, Iterable[Any]]:
    """Tag, number and children of a container."""
    if kind in _SEQUENCES:
        return _SEQUENCES[kind], len(value), value
    if kind in _MAPPINGS:
        pairs = [side for pair in dict.items(value) for side in pair] if len(value) <= MAX_NODES else []
        return _MAPPINGS[kind], 2 * len(value), pairs
    if kind is Fraction:
        _int_bytes(value.numerator, MAX_FRACTION_BYTES)
        _int_bytes(value.denominator, MAX_FRACTION_BYTES)
        return b"r", 2, (value.numerator, value.denominator)
    if kind is range:
        return b"g", 3, (value.start, value.stop, value.step)
    raise CodecError(f"a value of type {kind.__name__[:60]} is not plain data")


def encode(value: Any) -> bytes:
    """Encode a plain value.

    Args:
        value: built from None, bool, int, float, complex, str, bytes, bytearray, Decimal, Fraction, range, list, tuple,
            set, frozenset, deque, dict, OrderedDict, Counter and defaultdict (which arrives as a dict), by exact type.

    Raises:
        CodecError: another type, too large, too deep (a value that contains itself included).
    """
    parts: list[bytes] = []
    size = nodes = 0
    stack = [iter((value,))]
    while stack:
        try:
            item = next(stack[-1])
        except StopIteration:
            stack.pop()
            continue
        kind = type(item)
        part = _leaf(item, kind)
        if part is None:
            tag, count, children = _children(item, kind)
            if nodes + count > MAX_NODES:
                raise CodecError(f"more than {MAX_NODES} values in one reply")
            if len(stack) > MAX_DEPTH:
                raise CodecError(f"nested deeper than {MAX_DEPTH}")
            part = tag + _LENGTH.pack(count)
            stack.append(iter(children))
        nodes += 1
        size += len(part)
        if size > MAX_BYTES or nodes > MAX_NODES:
            raise CodecError(f"a reply of more than {MAX_BYTES} bytes or {MAX_NODES} values is too large")
        parts.append(part)
    return b"".join(parts)


def guarded_set(items: Iterable[Any]) -> set[Any]:
    """A set of the items, built in linear time or not at all. Raises CodecError, or TypeError for what has no hash."""
    return _guarded_set(items)[0]


def _guarded_set(items: Iterable[Any]) -> tuple[set[Any], int]:
    """The set, and how many of its items share their hash with an earlier one."""
    made: set[Any] = set()
    with_hash: dict[int, int] = {}
    for item in items:
        size = len(made)
        made.add(item)
        if len(made) > size:
            value = hash(item)
            with_hash[value] = count = with_hash.get(value, 0) + 1
            if count > MAX_EQUAL_HASHES:
                raise CodecError("too many items with equal hashes")
    return made, len(made) - len(with_hash)


def _integers(items: list[Any], count: int) -> list[int]:
    if len(items) != count or any(type(item) is not int for item in items):
        raise CodecError("integers expected")
    return items


def _fraction(items: list[Any]) -> Fraction:
    numerator, denominator = _integers(items, 2)
    if max(numerator.bit_length(), denominator.bit_length()) > 8 * MAX_FRACTION_BYTES:
        raise CodecError("a Fraction of that many digits is too large")
    return Fraction(numerator, denominator)


def _pairs(items: list[Any]) -> Iterable[tuple[Any, Any]]:
    return zip(items[::2], items[1::2], strict=True)


_BUILD: dict[int, Callable[[list[Any]], Any]] = {
    ord("l"): lambda items: items,
    ord("t"): tuple,
    ord("q"): deque,
    ord("s"): set,
    ord("z"): frozenset,
    ord("d"): lambda items: dict(_pairs(items)),
    ord("o"): lambda items: OrderedDict(_pairs(items)),
    ord("k"): lambda items: Counter(dict(_pairs(items))),
    ord("r"): _fraction,
    ord("g"): lambda items: range(*_integers(items, 3)),
}
_KEYS_STEP = {ord("s"): 1, ord("z"): 1, ord("d"): 2, ord("o"): 2, ord("k"): 2}
"""Of the containers that hash: every which item is a key."""
_CONSTANTS: dict[int, bool | None] = {ord("N"): None, ord("T"): True, ord("F"): False}


def _text_decimal(body: bytes) -> Decimal:
    if len(body) > MAX_DECIMAL_CHARS:
        raise CodecError("a Decimal of that many digits is too large")
    return Decimal(body.decode("ascii"))


def _integer(body: bytes) -> int:
    if len(body) > MAX_INT_BYTES:
        raise CodecError("an integer of that many bits is too large")
    return int.from_bytes(body, "big", signed=True)


_SIZED: dict[int, Callable[[bytes], Any]] = {
    ord("i"): _integer,
    ord("u"): lambda body: body.decode("utf-8", "surrogatepass"),
    ord("b"): bytes,
    ord("a"): bytearray,
    ord("D"): _text_decimal,
}


def _decode(data: bytes) -> Any:
    position = nodes = collisions = 0
    stack: list[tuple[int, int, list[Any]]] = []
    while True:
        tag = data[position]
        position += 1
        nodes += 1
        if nodes > MAX_NODES:
            raise CodecError(f"more than {MAX_NODES} values")
        if tag in _CONSTANTS:
            value: Any = _CONSTANTS[tag]
        elif tag == 102:  # f
            (value,) = _FLOAT.unpack_from(data, position)
            position += 8
        elif tag == 99:  # c
            value = complex(*_COMPLEX.unpack_from(data, position))
            position += 16
        else:
            (length,) = _LENGTH.unpack_from(data, position)
            position += 4
            if length > len(data) - position:
                raise CodecError("cut short")
            if tag in _SIZED:
                value = _SIZED[tag](data[position : position + length])
                position += length
            elif tag in _BUILD:
                if len(stack) >= MAX_DEPTH:
                    raise CodecError(f"nested deeper than {MAX_DEPTH}")
                if length:
                    stack.append((tag, length, []))
                    continue
                value = _BUILD[tag]([])
            else:
                raise CodecError(f"unknown tag {tag}")
        while stack:
            tag, length, items = stack[-1]
            items.append(value)
            if len(items) < length:
                break
            if tag in _KEYS_STEP:
                # comparing nested sets that collide at every level is quadratic, so the whole reply has one allowance
                keys, more = _guarded_set(items[:: _KEYS_STEP[tag]])
                collisions += more
                if len(keys) * _KEYS_STEP[tag] != len(items) or collisions > MAX_COLLISIONS:
                    raise CodecError("a key occurs twice, or too many have equal hashes")
            value = _BUILD[tag](items)
            stack.pop()
        if not stack:
            if position != len(data):
                raise CodecError("bytes left over")
            return value


def decode(data: bytes) -> Any:
    """Decode hostile bytes into a plain value.

    Raises:
        CodecError: for anything that `encode` did not write.
    """
    if len(data) > MAX_BYTES:
        raise CodecError(f"more than {MAX_BYTES} bytes")
    try:
        return _decode(data)
    except CodecError:
        raise
    except (ArithmeticError, IndexError, TypeError, ValueError, struct.error) as error:
        raise CodecError(f"not an encoded value: {type(error).__name__}") from None
