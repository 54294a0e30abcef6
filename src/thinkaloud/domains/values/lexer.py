"""Plain text -> tokens. Every number becomes an exact fraction whose size was bounded before it was formed."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Literal, NamedTuple

MAX_DIGITS = 100
MAX_EXPONENT = 300
MAX_TOKENS = 600

Kind = Literal["number", "word", "command", "sign"]


class Token(NamedTuple):
    """A piece of text.

    `spaced` tells whether white space stands before it; `form` how a number was written: `integer`, `decimal`,
    `scientific` or `words`.
    """

    kind: Kind
    text: str
    value: Fraction = Fraction(0)
    spaced: bool = False
    form: str = ""

    @property
    def lower(self) -> str:
        return self.text.casefold()


class TooLarge(Exception):
    """A number, a text or an intermediate result is larger than what is read."""


_TOKEN = re.compile(
    r"(?P<repeating>\d*\.\d*\\overline\s*\{\d+\})"
    r"|(?P<number>(?:\d{1,3}(?:,\d{3})+(?!\d)|\d{1,3}(?:[ ]\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)"
    r"(?:[eE](?P<exponent>[-+]?\d+)(?!\w))?"
    r"|(?P<command>\\[a-zA-Z]+|\\[{}|\\])"
    r"|(?P<word>[^\W\d_][^\W_]*(?:'[^\W\d_]+)*(?:-[^\W\d_]{2,})*)"
    r"|(?P<line>\s*\n\s*)"
    r"|(?P<sign>\*\*|<=|>=|!=|==|<>|~~|<!--|\.\.+|\S)"
)
_GREEK = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "ζ": "zeta", "η": "eta", "θ": "theta",
    "κ": "kappa", "λ": "lambda", "μ": "mu", "ν": "nu", "ξ": "xi", "ρ": "rho", "σ": "sigma", "τ": "tau", "φ": "phi",
    "χ": "chi", "ψ": "psi", "ω": "omega", "Δ": "Delta", "Σ": "Sigma", "Ω": "Omega",
}  # fmt: skip


def tokenize(text: str) -> list[Token]:
    """Tokens of a text in plain form (`clean`); number words are still words (see `numerals`).

    Raises:
        TooLarge: a number is longer than `MAX_DIGITS`, its exponent is beyond `MAX_EXPONENT`, or there are more than
            `MAX_TOKENS` tokens.
    """
    tokens: list[Token] = []
    end = -1
    for match in _TOKEN.finditer(text):
        spaced = match.start() != end
        end = match.end()
        kind, found = match.lastgroup, match[0]
        if kind in ("number", "exponent"):
            tokens.append(_number(found, match["number"], match["exponent"], spaced))
        elif kind == "word":
            tokens += _words(found, spaced)
        elif kind == "command":
            tokens.append(Token("command", found, spaced=spaced))
        elif kind == "repeating":
            tokens.append(_repeating(found, spaced))
        elif kind == "line":
            tokens.append(Token("sign", "\n", spaced=True))
        else:
            tokens.append(Token("sign", {"==": "=", "**": "^", "<>": "!="}.get(found, found), spaced=spaced))
        if len(tokens) > MAX_TOKENS:
            raise TooLarge
    return tokens


def _number(found: str, digits: str, exponent: str | None, spaced: bool) -> Token:
    plain = digits.replace(",", "").replace(" ", "")
    if len(plain) > MAX_DIGITS:
        raise TooLarge
    if exponent is None:
        if "." in plain:
            return Token("number", found, Fraction(plain), spaced, "decimal")
        return Token("number", found, Fraction(int(plain)), spaced, "integer")  # an int is read faster than a str
    if len(exponent) > 5 or abs(int(exponent)) > MAX_EXPONENT:
        raise TooLarge
    return Token("number", found, Fraction(plain) * Fraction(10) ** int(exponent), spaced, "scientific")


def _repeating(found: str, spaced: bool) -> Token:
    """`0.1\\overline{6}` is 1/6."""
    fixed, cycle = found.split("\\overline")
    cycle = cycle.strip(" {}")
    places = len(fixed.split(".")[1])
    if len(fixed) + len(cycle) > MAX_DIGITS:
        raise TooLarge
    tail = Fraction(int(cycle), (10 ** len(cycle) - 1) * 10**places)
    return Token("number", found, Fraction(fixed.rstrip(".") or "0") + tail, spaced, "decimal")


def _words(found: str, spaced: bool) -> list[Token]:
    """One word; parts apart where one of them is a single letter, as in `x-y`; the product in `20x8`."""
    if found in _GREEK:
        return [Token("command", "\\" + _GREEK[found], spaced=spaced)]
    if not spaced and found[0] == "x" and found[1:].isdecimal() and len(found) < 20:
        return [Token("sign", "*"), Token("number", found[1:], Fraction(found[1:]), False, "integer")]
    parts = found.split("-")
    if len(parts) == 1 or len(parts[0]) > 1:
        return [Token("word", found, spaced=spaced)]
    tokens = [Token("word", parts[0], spaced=spaced)]
    for part in parts[1:]:
        tokens += [Token("sign", "-"), Token("word", part)]
    return tokens
