"""Test cases of other projects' verifiers, read from their test files by `ast`. None of their code is run."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

FULL_SCORE = 0.99
"""Their scores from here on mean "right"; some projects grade."""

_GOLDS = ("gold", "label", "labels", "expected_output", "ground_truth")
_ANSWERS = ("pred", "prediction", "input_string")
_VERDICTS = ("expected", "expected_score", "result")
_MATCHERS = ("cascade_score", "float_match", "math_match", "string_match", "compute_decimal_reward")
_NO_ENGLISH = ("FRENCH", "CHINESE", "ARABIC", "HINDI")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A gold answer, an answer, and whether the project's own verifier takes it as right; `test` names the test."""

    suite: str
    test: str
    gold: str
    answer: str
    right: bool
    options: bool = False
    """The gold answer is the letter of an option."""
    english: bool = True


def read_suites(folder: Path) -> dict[str, list[Pair] | None]:
    """The pairs of each suite; None where its checkout is not in `folder`."""
    found: dict[str, list[Pair] | None] = {}
    for suite, (pattern, read) in SUITES.items():
        paths = sorted((folder / suite).glob(pattern))
        pairs = [pair for path in paths for pair in read(suite, ast.parse(path.read_text(encoding="utf-8")))]
        found[suite] = list(dict.fromkeys(pairs)) if paths else None
    return found


def _parametrized(suite: str, tree: ast.Module, *, tests: tuple[str, ...] = ()) -> Iterator[Pair]:
    """`@pytest.mark.parametrize("gold,pred,expected", [...])` and `@parameterized.expand([...])`."""
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef) or (tests and function.name not in tests):
            continue
        letters = "NativeLetters" in ast.unparse(function)
        for decorator in function.decorator_list:
            if not isinstance(decorator, ast.Call):
                continue
            called = ast.unparse(decorator.func)
            if called.endswith("parametrize"):
                names = [name.strip() for name in str(_literal(decorator.args[0])).split(",")]
                rows = decorator.args[1]
            elif called.endswith("expand"):
                names = [argument.arg for argument in function.args.args if argument.arg != "self"]
                rows = decorator.args[0]
            else:
                continue
            for row in getattr(rows, "elts", []):
                given = dict(zip(names, getattr(row, "elts", []), strict=False))
                yield from _pair_of(suite, function.name, given, options=letters)


def _pair_of(suite: str, test: str, given: dict[str, ast.expr], *, options: bool) -> Iterator[Pair]:
    gold, answer, verdict = (
        next((_literal(given[name]) for name in names if name in given), None)
        for names in (_GOLDS, _ANSWERS, _VERDICTS)
    )
    if "expected_output" in given:  # a pair of texts with one normal form
        verdict = 1
    if not isinstance(gold, str) or not isinstance(answer, str) or not isinstance(verdict, int | float):
        return
    modes = (_literal(given.get(name)) for name in ("strict", "allow_set_relation_comp"))
    if 0 < verdict < FULL_SCORE or False in modes:
        return
    foreign = any(language in ast.unparse(value) for value in given.values() for language in _NO_ENGLISH)
    yield Pair(
        suite=suite, test=test, gold=gold, answer=answer, right=bool(verdict), options=options, english=not foreign
    )


def _equivalences(suite: str, tree: ast.Module) -> Iterator[Pair]:
    """`self.assertTrue(is_equiv(test_in, test_out))`, with both texts assigned before."""
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        known = _assigned(function)
        for call in ast.walk(function):
            if not isinstance(call, ast.Call) or not ast.unparse(call.func).endswith(("assertTrue", "assertFalse")):
                continue
            inner = call.args[0]
            if isinstance(inner, ast.Call) and len(inner.args) == 2:
                gold, answer = (_literal(argument, known) for argument in inner.args)
                if isinstance(gold, str) and isinstance(answer, str):
                    right = ast.unparse(call.func).endswith("assertTrue")
                    yield Pair(suite=suite, test=function.name, gold=gold, answer=answer, right=right)


def _assertions(suite: str, tree: ast.Module) -> Iterator[Pair]:
    """`assert score_answer(answer, entry) == 1.0` where both are constants, and the same of the matching functions."""
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        known: dict[str, Any] = {}
        for statement in function.body:
            if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                known[statement.targets[0].id] = _literal(statement.value, known)
            elif isinstance(statement, ast.Assert):
                pair = _asserted(suite, function.name, statement.test, known)
                if pair is not None:
                    yield pair


def _asserted(suite: str, test: str, comparison: ast.expr, known: dict[str, Any]) -> Pair | None:
    if not isinstance(comparison, ast.Compare) or not isinstance(comparison.left, ast.Call):
        return None
    call, operator, limit = comparison.left, comparison.ops[-1], _literal(comparison.comparators[-1], known)
    given = [_literal(argument, known) for argument in call.args]
    given += [_literal(keyword.value, known) for keyword in call.keywords if keyword.arg in ("answer", "entry")]
    others = [keyword for keyword in call.keywords if keyword.arg not in ("answer", "entry")]
    if len(given) != 2 or others or len(comparison.ops) > 1:
        return None
    name = ast.unparse(call.func).rpartition(".")[2]
    answer, gold = given
    if name == "score_answer" and isinstance(gold, dict):
        gold = gold.get("answer")
    elif name not in _MATCHERS:
        return None
    if not isinstance(gold, str) or not isinstance(answer, str) or not gold:
        return None
    if isinstance(limit, int | float) and isinstance(operator, ast.Eq | ast.GtE) and limit >= FULL_SCORE:
        right = True
    elif isinstance(operator, ast.Eq | ast.Lt | ast.LtE):
        right = False  # a part of the marks is not full marks
    else:
        return None
    return Pair(suite=suite, test=test, gold=gold, answer=answer, right=right)


def _assigned(function: ast.FunctionDef) -> dict[str, Any]:
    return {
        statement.targets[0].id: _literal(statement.value)
        for statement in function.body
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)
    }


def _literal(node: ast.expr | None, known: dict[str, Any] | None = None) -> Any:
    """The value of a constant or of a name with a known one, of a dict what is constant in it; None for all else."""
    if isinstance(node, ast.Name):
        return (known or {}).get(node.id)
    if isinstance(node, ast.Dict):
        keys = [_literal(key) for key in node.keys]
        return {key: _literal(value) for key, value in zip(keys, node.values, strict=True) if isinstance(key, str)}
    try:
        return None if node is None else ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError):
        return None


Reader = Callable[[str, ast.Module], Iterator[Pair]]

_OPEN_INSTRUCT = (
    "test_basic_scenarios", "test_puzzle_matcher_scenarios", "test_single_label", "test_signed_number_extraction",
    "test_latex_normalization",
)  # fmt: skip

SUITES: dict[str, tuple[str, Reader]] = {
    "Math-Verify": ("tests/test_*.py", _parametrized),
    "lighteval": ("tests/unit/metrics/test_extractive_match.py", _parametrized),
    "math": ("modeling/math_equivalence_test.py", _equivalences),
    "open-instruct": (
        "open_instruct/test_[gm]*_utils.py",
        partial(_parametrized, tests=_OPEN_INSTRUCT),
    ),
    "reasoning-gym": ("tests/test_*.py", _assertions),
}
"""Name of the checkout -> the test files, and the reader of their shape."""
