"""Tokens -> expression tree, by recursive descent with bounded depth.

Nodes: `("num", Fraction)`, `("var", name)`, `("const", "pi" | "e" | "i" | "inf")`, `("neg", a)`, `("pm", a)`,
`("fn", name, a)`, `("root", a, n)`, `("log", base, a)`, `("!", a)`, and `+ - * / ^` with two operands.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from thinkaloud.domains.values.atoms import Atoms
from thinkaloud.domains.values.grammar import FUNCTIONS, MAX_DEPTH, NotAnExpression
from thinkaloud.domains.values.kinds import Node
from thinkaloud.domains.values.lexer import Token

MAX_TOKENS = 300


def parse(tokens: Sequence[Token]) -> Node:
    """The expression that all of `tokens` form.

    Raises:
        NotAnExpression: They form none.
    """
    if not tokens or len(tokens) > MAX_TOKENS:
        raise NotAnExpression
    parser = _Parser([token for token in tokens if token.text != "\n"])
    node = parser.sum(0)
    if parser.at != len(parser.tokens):
        raise NotAnExpression
    return node


class _Parser(Atoms):
    """Sums, products and powers."""

    def sum(self, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise NotAnExpression
        node = self._product(depth + 1)
        while (op := self._text()) in ("+", "-", "\\pm", "\\mp"):
            self.at += 1
            right = self._product(depth + 1)
            node = (op, node, right) if op in "+-" else ("+", node, ("pm", right))
        return node

    def _product(self, depth: int) -> Node:
        node = self._signed(depth)
        while True:
            op = self._text()
            if op in ("*", "/", "\\div"):
                self.at += 1
                node = ("*" if op == "*" else "/", node, self._signed(depth))
            elif self._starts_atom():
                if self.tokens[self.at].kind == "number" or self._restates() or self._is_noun():
                    raise NotAnExpression  # "1 2", "42 (forty-two)"
                node = ("*", node, self.power(depth))
            else:
                return node

    def _restates(self) -> bool:
        """A number after a space and in parentheses, such as the second one of "42 (42)"."""
        row = self.tokens[self.at : self.at + 3]
        return len(row) == 3 and row[0].text == "(" and row[0].spaced and row[1].kind == "number" and row[2].text == ")"

    def _is_noun(self) -> bool:
        """A word after a number and a space, such as `eggs` or `xy`."""
        token = self.tokens[self.at]
        if token.kind != "word" or len(token.text) < 2 or not token.spaced or token.lower in FUNCTIONS | {"pi"}:
            return False
        return self.at > 0 and self.tokens[self.at - 1].kind == "number"

    def _signed(self, depth: int) -> Node:
        negative, plus_minus = False, False
        signs = 0
        while (op := self._text()) in ("-", "+", "\\pm", "\\mp"):
            negative ^= op == "-"
            plus_minus |= op in ("\\pm", "\\mp")
            self.at += 1
            signs += 1
            if signs > 2:
                raise NotAnExpression
        node = self.power(depth)
        if plus_minus:
            node = ("pm", node)
        return ("neg", node) if negative else node

    def power(self, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise NotAnExpression
        node = self._atom(depth + 1)
        while self._text() in ("!", "%", "°"):
            sign = self._text()
            if sign == "°":
                raise NotAnExpression
            node = ("!", node) if sign == "!" else ("/", node, ("num", Fraction(100)))
            self.at += 1
            if sign == "!" and self._text() == "!":
                raise NotAnExpression
        if self._text() == "^":
            self.at += 1
            node = ("^", node, self.exponent(depth + 1))
        return node

    def exponent(self, depth: int) -> Node:
        if self._text() == "{":
            return self._group(depth)
        negative = False
        if self._text() in ("-", "+"):
            negative = self._text() == "-"
            self.at += 1
        node = self.power(depth)
        return ("neg", node) if negative else node
