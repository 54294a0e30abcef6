"""Numbers of a column as the text of a gold answer."""

from __future__ import annotations

import math
import struct
from decimal import Decimal

NOISE_DIGITS = 12
"""A float that needs more digits than this was rounded by its storage: 33.1 as float32, or 0.1 + 0.2."""


def number_text(number: int | float) -> str:
    """A number in plain decimal notation with all its digits; empty where it is not finite.

    A float32 read as a float64, and the result of a sum of floats, become the short number that they stand for.

    >>> number_text(22090603.0), number_text(33.099998474121094), number_text(0.1 + 0.2), number_text(1e-7)
    ('22090603', '33.1', '0.3', '0.0000001')
    """
    if isinstance(number, int):
        return str(int(number))
    if not math.isfinite(number):
        return ""
    text = format(Decimal(_shortest(number)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _shortest(number: float) -> str:
    """The fewest digits that stand for a float."""
    exact = repr(number)
    if _num_digits(exact) <= NOISE_DIGITS:
        return exact
    if _as_float32(number) == number:
        for digits in range(1, 10):
            text = f"{number:.{digits}g}"
            if _as_float32(float(text)) == number:
                return text
    rounded = repr(float(f"{number:.15g}"))
    return rounded if _num_digits(rounded) <= NOISE_DIGITS else exact


def _num_digits(text: str) -> int:
    return len(text.partition("e")[0].replace(".", "").lstrip("-0"))


def _as_float32(number: float) -> float:
    try:
        return float(struct.unpack("f", struct.pack("f", number))[0])
    except OverflowError:
        return math.inf
