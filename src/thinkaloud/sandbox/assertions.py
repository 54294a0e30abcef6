"""Parse tests: which calls the solver makes, and how its answers are judged here, out of reach of the program.

`assert f(args) == literal` becomes the call `f(args)`, sent to the solver as source, and a comparison of plain values
in this process. A few other forms are judged here too (`set(f(x)) == {1}`, `abs(f(x) - 2.5) < 1e-6`,
`math.isclose(...)`, `not f(x)`, ...). All other tests go to the checker, a second jailed process.

The tests and the setup alone decide which names belong to the program: all except built-ins, modules, imports of the
setup, and a few well-known types. If a test calls no such name, the innermost call on the left is the program's (MBPP
126 asks for a function `sum`).
"""

from __future__ import annotations

import ast
import builtins
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from .plain import ARITHMETIC, COMPARISONS, FUNCTIONS, MATH_CONSTANTS

Values = Sequence[Any]
"""The values that the solver returned for the calls of one test, in order."""
Expression = Callable[[Values], Any]
"""A part of a test, evaluated over the solver's values."""

STANDARD_NAMES = {
    "Counter": "collections:Counter",
    "OrderedDict": "collections:OrderedDict",
    "Decimal": "decimal:Decimal",
    "Fraction": "fractions:Fraction",
    "date": "datetime:date",
    "datetime": "datetime:datetime",
    "defaultdict": "collections:defaultdict",
    "deque": "collections:deque",
    "inf": "math:inf",
    "isclose": "math:isclose",
    "nan": "math:nan",
    "pi": "math:pi",
    "timedelta": "datetime:timedelta",
}
"""Names that a test may use without an import; they never belong to the program."""

_BUILTINS = frozenset(dir(builtins))
_MODULES = frozenset(sys.stdlib_module_names)


class NeedsChecker(Exception):
    """The test cannot be judged in this process."""


@dataclass(frozen=True, slots=True)
class DirectTest:
    """A test judged in this process: the sources of the calls, and the judgement of their values."""

    calls: tuple[str, ...]
    judge: Expression


@dataclass(frozen=True, slots=True)
class Plan:
    """The tests of one task.

    Attributes:
        tests: One entry per test: a `DirectTest`, or None for a test that goes to the checker.
        functions: Names that the checked tests expect from the program.
        standard: Names that the checked tests take from the standard library, to `module` or `module:name`.
        error: Why the tests cannot be used, or empty.
    """

    tests: tuple[DirectTest | None, ...]
    functions: tuple[str, ...] = ()
    standard: tuple[tuple[str, str], ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class _Known:
    """What does not belong to the program: names (built-ins, well-known types, imports, bound names) and modules."""

    names: frozenset[str]
    modules: frozenset[str]

    def is_solution(self, node: ast.AST) -> bool:
        """Whether a node is a name of the program, or a call, attribute or item of one."""
        root = node
        while isinstance(root, ast.Call | ast.Attribute | ast.Subscript):
            parent, root = root, root.func if isinstance(root, ast.Call) else root.value
            if isinstance(parent, ast.Attribute) and isinstance(root, ast.Name) and root.id in self.modules:
                return False
        return isinstance(root, ast.Name) and root.id not in self.names


class _Reader:
    """Reads one assertion into an `Expression`, collecting the calls that the solver must make."""

    def __init__(self, source: str, known: _Known, solution: ast.AST | None) -> None:
        self.calls: list[str] = []
        self._source = source
        self._known = known
        self._solution = solution

    def read(self, node: ast.expr) -> Expression:
        """The expression of a node. Raises NeedsChecker."""
        if node is self._solution or self._known.is_solution(node):
            index = len(self.calls)
            self.calls.append(f"({ast.get_source_segment(self._source, node)}\n)")
            return lambda values: values[index]
        try:
            constant = ast.literal_eval(node)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            return self._folded(node)
        return lambda values: constant

    def _folded(self, node: ast.expr) -> Expression:
        """Evaluate an expression that depends on no call once; if that fails, the test goes to the checker."""
        num_calls = len(self.calls)
        expression = self._compound(node)
        if len(self.calls) > num_calls:
            return expression
        try:
            constant = expression(())
        except Exception:
            raise NeedsChecker from None
        return lambda values: constant

    def _compound(self, node: ast.expr) -> Expression:
        match node:
            case ast.Compare(left, operators, comparators):
                return self._comparison(left, operators, comparators)
            case ast.BoolOp(ast.And(), operands):
                return self._combine(all, operands)
            case ast.BoolOp(ast.Or(), operands):
                return self._combine(any, operands)
            case ast.UnaryOp(sign, operand) if type(sign) in ARITHMETIC:
                return self._apply(ARITHMETIC[type(sign)], [operand])
            case ast.BinOp(left, sign, right) if type(sign) in ARITHMETIC:
                return self._apply(ARITHMETIC[type(sign)], [left, right])
            case ast.Tuple(items):
                return self._apply(lambda *values: values, items)
            case ast.List(items):
                return self._apply(lambda *values: list(values), items)
            case ast.Name(name) if name in MATH_CONSTANTS:
                constant = MATH_CONSTANTS[name]
                return lambda values: constant
            case ast.Attribute(ast.Name("math"), name) if name in MATH_CONSTANTS:
                constant = MATH_CONSTANTS[name]
                return lambda values: constant
            case ast.Call(ast.Name("isclose") | ast.Attribute(ast.Name("math"), "isclose"), arguments, keywords):
                return self._isclose(arguments, keywords)
            case ast.Call(ast.Name(name), arguments, []) if name in FUNCTIONS:
                return self._apply(FUNCTIONS[name], arguments)
        raise NeedsChecker

    def _apply(self, function: Callable[..., Any], arguments: Sequence[ast.expr]) -> Expression:
        parts = [self.read(argument) for argument in arguments]
        return lambda values: function(*[part(values) for part in parts])

    def _combine(self, rule: Callable[[Any], bool], operands: Sequence[ast.expr]) -> Expression:
        parts = [self.read(operand) for operand in operands]
        return lambda values: rule(part(values) for part in parts)

    def _isclose(self, arguments: Sequence[ast.expr], keywords: Sequence[ast.keyword]) -> Expression:
        parts = [self.read(argument) for argument in arguments]
        named = [(keyword.arg, self.read(keyword.value)) for keyword in keywords]
        if any(name not in ("rel_tol", "abs_tol") for name, _ in named):
            raise NeedsChecker
        return lambda values: FUNCTIONS["isclose"](
            *[part(values) for part in parts], **{str(name): part(values) for name, part in named}
        )

    def _comparison(self, left: ast.expr, signs: Sequence[ast.cmpop], right: Sequence[ast.expr]) -> Expression:
        for sign, operand in zip(signs, right, strict=True):
            if isinstance(sign, ast.Is | ast.IsNot) and not _is_singleton(operand):
                raise NeedsChecker  # identity is lost in transit
        parts = [self.read(operand) for operand in (left, *right)]
        compares = [COMPARISONS[type(sign)] for sign in signs]

        def judge(values: Values) -> bool:
            operands = [part(values) for part in parts]
            return all(
                compare(one, other) for compare, one, other in zip(compares, operands, operands[1:], strict=False)
            )

        return judge


def _is_singleton(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and (node.value is None or isinstance(node.value, bool))


def _innermost_call(node: ast.expr) -> ast.expr | None:
    """The call under test if no name belongs to the program: the innermost on the left."""
    if isinstance(node, ast.Compare):
        node = node.left
    found = None
    while isinstance(node, ast.Call):
        found = node
        if not node.args:
            break
        node = node.args[0]
    return found


def _read_assertion(source: str, tree: ast.Module, known: _Known) -> DirectTest | None:
    if len(tree.body) != 1 or not isinstance(tree.body[0], ast.Assert):
        return None
    condition = tree.body[0].test
    named = any(
        known.is_solution(node) and not (isinstance(node, ast.Name) and node.id in known.modules)
        for node in ast.walk(condition)
    )
    try:
        reader = _Reader(source, known, None if named else _innermost_call(condition))
        judge = reader.read(condition)
    except (NeedsChecker, RecursionError):
        return None
    return DirectTest(tuple(reader.calls), judge) if reader.calls else None


def _imported(tree: ast.Module) -> frozenset[str]:
    nodes = (node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom))
    return frozenset((alias.asname or alias.name).partition(".")[0] for node in nodes for alias in node.names)


def _bound(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Name(name, ast.Store() | ast.Del()):
                names.add(name)
            case ast.FunctionDef(name) | ast.AsyncFunctionDef(name) | ast.ClassDef(name) | ast.arg(name):
                names.add(name)
            case ast.ExceptHandler(_, str(name)):
                names.add(name)
            case ast.Import(aliases) | ast.ImportFrom(_, aliases):
                names.update((alias.asname or alias.name).partition(".")[0] for alias in aliases)
    return names


def _open_names(trees: Sequence[ast.Module]) -> tuple[list[str], list[tuple[str, str]]]:
    """The names that these tests do not bind: those of the program, and those of the standard library with origin."""
    bound = set().union(*map(_bound, trees)) | _BUILTINS
    functions: set[str] = set()
    standard: dict[str, str] = {}
    for node in (node for tree in trees for node in ast.walk(tree)):
        match node:
            case ast.Attribute(ast.Name(name)) if name in _MODULES and name not in bound:
                standard[name] = name
            case ast.Name(name, ast.Load()) if name in STANDARD_NAMES and name not in bound:
                standard.setdefault(name, STANDARD_NAMES[name])
            case ast.Name(name, ast.Load()) if name not in bound:
                functions.add(name)
    return sorted(functions - standard.keys()), sorted(standard.items())


def _parse(source: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in tests of a data set do not concern the user
        return ast.parse(source)


@lru_cache(maxsize=1024)
def read_tests(tests: tuple[str, ...], setup: str = "") -> Plan:
    """Parse the tests of one task.

    Args:
        tests: Sources of the tests.
        setup: Source of the setup, for the names it imports.
    """
    try:
        setup_tree = _parse(setup)
        trees = [_parse(test.strip()) for test in tests]
        bound = set().union(*map(_bound, trees))
        names = _BUILTINS.union(STANDARD_NAMES, _imported(setup_tree), bound)
        known = _Known(names, _MODULES - _bound(setup_tree))
        direct = [_read_assertion(test.strip(), tree, known) for test, tree in zip(tests, trees, strict=True)]
        checked = [tree for tree, test in zip(trees, direct, strict=True) if test is None]
        functions, standard = _open_names([setup_tree, *checked]) if checked else ([], [])
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        return Plan((), error=f"the tests do not parse: {type(error).__name__}: {error}")
    if not tests:
        return Plan((), error="there are no tests")
    return Plan(tuple(direct), tuple(functions), tuple(standard))
