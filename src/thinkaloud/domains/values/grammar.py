"""Names and limits of the expression parser (`atoms`, `tree`)."""

from __future__ import annotations

from thinkaloud.domains.values.kinds import Node
from thinkaloud.domains.values.vocabulary import word_set

MAX_DEPTH = 40
FUNCTIONS = word_set(
    "sin cos tan cot sec csc sinh cosh tanh arcsin arccos arctan asin acos atan ln log exp sqrt abs floor ceil"
)
CONSTANTS = {"pi": "pi", "e": "e", "i": "i", "infty": "inf", "inf": "inf", "infinity": "inf"}
ALIASES = {"asin": "arcsin", "acos": "arccos", "atan": "arctan"}
CLOSING = {"(": ")", "[": "]", "{": "}", "\\{": "\\}"}
NO_PRODUCTS = word_set(
    "is in it of or on so to at as an and the for are was has had not but cm mm km kg mg ml ft lb oz mi yd hr min sec"
    " all one two six ten yes no if by be he we us am pm do my me up any per its"
)


class NotAnExpression(Exception):
    """The tokens do not form an expression."""


GREEK_NAMES = word_set(
    "alpha beta gamma delta epsilon varepsilon zeta eta theta kappa lambda mu nu xi rho sigma tau phi varphi chi psi "
    "omega Delta Sigma Omega Gamma Lambda Phi Psi ell"
)
NOT_ATOMS = word_set(
    "\\div \\pm \\mp \\cup \\cap \\in \\approx \\implies \\to \\begin \\end \\emptyset \\varnothing \\neg \\lor "
    "\\land \\rfloor \\rceil"
)


def letter_node(name: str) -> Node:
    return ("const", name) if name in ("e", "i") else ("var", name)
