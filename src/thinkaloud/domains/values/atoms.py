"""The smallest parts of an expression: numbers, variables, groups, functions and roots."""

from __future__ import annotations

from abc import ABC, abstractmethod
from fractions import Fraction

from thinkaloud.domains.values.grammar import (
    ALIASES,
    CLOSING,
    CONSTANTS,
    FUNCTIONS,
    GREEK_NAMES,
    MAX_DEPTH,
    NO_PRODUCTS,
    NOT_ATOMS,
    NotAnExpression,
    letter_node,
)
from thinkaloud.domains.values.kinds import Node
from thinkaloud.domains.values.lexer import Token


class Atoms(ABC):
    """Reads atoms at a place in a row of tokens; `tree` adds sums, products and powers."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.at = 0
        self.bars = 0

    @abstractmethod
    def sum(self, depth: int) -> Node: ...

    @abstractmethod
    def power(self, depth: int) -> Node: ...

    @abstractmethod
    def exponent(self, depth: int) -> Node: ...

    def _text(self, ahead: int = 0) -> str:
        at = self.at + ahead
        return self.tokens[at].text if at < len(self.tokens) else ""

    def _expect(self, text: str) -> None:
        if self._text() != text:
            raise NotAnExpression
        self.at += 1

    def _group(self, depth: int) -> Node:
        """`( … )`, `[ … ]` or `{ … }`."""
        closing = CLOSING.get(self._text())
        if closing is None:
            raise NotAnExpression
        self.at += 1
        bars, self.bars = self.bars, 0
        node = self.sum(depth + 1)
        self._expect(closing)
        self.bars = bars
        return node

    def argument(self, depth: int) -> Node:
        """An argument of `\\frac` or `\\sqrt`: a group, or one digit or letter (`\\frac34`)."""
        if self._text() == "{":
            return self._group(depth)
        if self.at >= len(self.tokens):
            raise NotAnExpression
        token = self.tokens[self.at]
        if token.kind == "number" and token.text.isdigit() and token.text.isascii():
            if len(token.text) == 1:
                self.at += 1
            else:
                rest = token.text[1:]
                self.tokens[self.at] = Token("number", rest, Fraction(rest), False, "integer")
            return ("num", Fraction(token.text[0]))
        if token.kind == "word" and len(token.text) > 1:
            self.tokens[self.at] = Token("word", token.text[1:])
            return letter_node(token.text[0])
        return self._atom(depth + 1)

    def _atom(self, depth: int) -> Node:
        if self.at >= len(self.tokens) or depth > MAX_DEPTH:
            raise NotAnExpression
        token = self.tokens[self.at]
        if token.kind == "number":
            self.at += 1
            return self._after_number(("num", token.value), token, depth)
        if token.text in ("(", "[", "{"):
            return self._group(depth)
        if token.text == "|":
            return self._absolute(depth)
        if token.kind == "word":
            return self._word(token, depth)
        if token.kind == "command":
            return self._command(token, depth)
        raise NotAnExpression

    def _after_number(self, node: Node, token: Token, depth: int) -> Node:
        """A mixed number: `2\\frac{1}{2}`, `2 1/2`. Any other number after a number is no expression."""
        if self._text() == "\\frac" and token.form == "integer":
            before = self.at
            part = self._atom(depth + 1)
            if part[0] == "/" and part[1][0] == part[2][0] == "num":
                if not 0 < part[1][1] < part[2][1]:
                    raise NotAnExpression
                return ("+", node, part)
            self.at = before
        row = self.tokens[self.at : self.at + 3]
        if len(row) == 3 and row[0].kind == row[2].kind == "number" and row[1].text == "/" and row[0].spaced:
            if not 0 < row[0].value < row[2].value or token.form != "integer":
                raise NotAnExpression
            self.at += 3
            return ("+", node, ("/", ("num", row[0].value), ("num", row[2].value)))
        return node

    def _absolute(self, depth: int) -> Node:
        self.at += 1
        self.bars += 1
        node = self.sum(depth + 1)
        self._expect("|")
        self.bars -= 1
        return ("fn", "abs", node)

    def _word(self, token: Token, depth: int) -> Node:
        name = token.text
        if name.casefold() in FUNCTIONS and len(name) > 1:
            return self._function(name.casefold(), depth)
        if name in ("pi", "Pi"):
            self.at += 1
            return ("const", "pi")
        if name.casefold() in ("inf", "infinity"):
            self.at += 1
            return ("const", "inf")
        if len(name) == 1:
            self.at += 1
            return self._subscripted(name)
        if len(name) > 3 or name.casefold() in NO_PRODUCTS or not name.isascii() or not name.isalpha():
            raise NotAnExpression
        self.at += 1
        node = letter_node(name[0])
        for letter in name[1:-1]:
            node = ("*", node, letter_node(letter))
        last = self._subscripted(name[-1])
        if self._text() == "^":  # xy^2 is x(y^2)
            self.at += 1
            last = ("^", last, self.exponent(depth + 1))
        return ("*", node, last)

    def _subscripted(self, name: str) -> Node:
        if self._text() != "_":
            return letter_node(name)
        self.at += 1
        if self._text() == "{":
            end = self.at
            while end < len(self.tokens) and self.tokens[end].text != "}":
                end += 1
            inner = "".join(token.text for token in self.tokens[self.at + 1 : end])
            if end >= len(self.tokens) or len(inner) > 20:
                raise NotAnExpression
            self.at = end + 1
            return ("var", f"{name}_{inner}")
        if self.at >= len(self.tokens) or self.tokens[self.at].kind not in ("number", "word"):
            raise NotAnExpression
        self.at += 1
        return ("var", f"{name}_{self.tokens[self.at - 1].text}")

    def _function(self, name: str, depth: int) -> Node:
        """A function's name, an optional base or power, and its argument."""
        self.at += 1
        name = ALIASES.get(name, name)
        base: Node | None = None
        power: Node | None = None
        if name == "log" and self._text() == "_":
            self.at += 1
            base = self.argument(depth + 1)
        if name != "sqrt" and self._text() == "^":
            self.at += 1
            power = self.exponent(depth + 1)
            if power == ("neg", ("num", Fraction(1))) and name in ("sin", "cos", "tan"):
                name, power = f"arc{name}", None
            elif power[0] != "num":
                raise NotAnExpression
        if self._text() in ("(", "{", "["):
            node = self._group(depth)
        elif name in ("sqrt", "abs", "floor", "ceil"):
            node = self._atom(depth + 1)
        else:
            node = self._bare_argument(depth + 1)
        node = (
            ("log", base, node)
            if base
            else ("root", node, ("num", Fraction(2)))
            if name == "sqrt"
            else ("fn", name, node)
        )
        return ("^", node, power) if power else node

    def _bare_argument(self, depth: int) -> Node:
        """`2x` of `sin 2x`: factors side by side, up to the next function."""
        node = self.power(depth)
        while self._starts_atom() and self.tokens[self.at].kind != "number":
            token = self.tokens[self.at]
            if token.lower.lstrip("\\") in FUNCTIONS or token.text in ("(", "[", "{", "|"):
                break
            node = ("*", node, self.power(depth))
        return node

    def _command(self, token: Token, depth: int) -> Node:
        name = token.text[1:]
        if name == "frac":
            self.at += 1
            over = self.argument(depth + 1)
            return ("/", over, self.argument(depth + 1))
        if name in ("sqrt", "sqrtsign", "cbrt"):
            return self._root(name, depth)
        if name == "binom":
            self.at += 1
            first = self.argument(depth + 1)
            return ("binom", first, self.argument(depth + 1))
        if name in FUNCTIONS:
            return self._function(name, depth)
        if name in ("lfloor", "lceil"):
            self.at += 1
            node = self.sum(depth + 1)
            self._expect(f"\\r{name[1:]}")
            return ("fn", name[1:], node)
        if name in CONSTANTS:
            self.at += 1
            return ("const", CONSTANTS[name])
        if name in GREEK_NAMES:
            self.at += 1
            return self._subscripted(token.text)
        raise NotAnExpression

    def _root(self, name: str, depth: int) -> Node:
        self.at += 1
        degree: Node = ("num", Fraction(3 if name == "cbrt" else 2))
        if name == "sqrt" and self._text() == "[":
            self.at += 1
            degree = self.sum(depth + 1)
            self._expect("]")
        node = self.argument(depth + 1) if name == "sqrt" else self._atom(depth + 1)
        return ("root", node, degree)

    def _starts_atom(self) -> bool:
        if self.at >= len(self.tokens):
            return False
        token = self.tokens[self.at]
        if token.kind == "sign":
            return token.text in ("(", "[", "{") or (token.text == "|" and not self.bars)
        return (
            token.kind in ("number", "word")
            or token.text in ("\\frac", "\\sqrt", "\\sqrtsign", "\\cbrt", "\\binom")
            or (token.kind == "command" and token.text[1:].isalpha() and token.text not in NOT_ATOMS)
        )
