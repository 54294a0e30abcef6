"""Mutation testing of one module: change one operator or number at a time, and see whether its tests fail.

    python scripts/mutate.py src/thinkaloud/train/advantage.py tests/train/test_advantage.py
    python scripts/mutate.py src/thinkaloud/data/mixture.py tests/data/test_mixture.py --limit 30

Mutants are written into a temporary copy of the package; the working tree is never changed. A mutant survives if all
tests still pass: either a test is missing, or the change makes no difference. Exit code 1 if mutants survive.
"""

from __future__ import annotations

import argparse
import ast
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from random import Random
from typing import NamedTuple

SOURCES = Path("src")
COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
}
SKIPPED_FIELDS = ("annotation", "returns", "decorator_list", "msg")
"""Parts of the tree that do not compute anything: types, decorators, messages of assertions."""


class Site(NamedTuple):
    """A place where a mutant can be made; `apply` changes the tree it was found in."""

    line: int
    change: str
    apply: Callable[[], None]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("module", type=Path, help="a file below src/")
    parser.add_argument("tests", nargs="+", help="what pytest runs: files, or options such as -k NAME")
    parser.add_argument("--limit", type=int, default=0, help="at most this many mutants, drawn at random; 0: all")
    parser.add_argument("--seed", type=int, default=0, help="seed of that draw")
    options, further = parser.parse_known_args()
    tests = [*options.tests, *further]
    text = options.module.read_text(encoding="utf-8")
    numbers = list(range(sum(1 for _ in find_sites(ast.parse(text)))))
    if options.limit and len(numbers) > options.limit:
        numbers = sorted(Random(options.seed).sample(numbers, options.limit))
    survivors = 0
    with tempfile.TemporaryDirectory(prefix="mutate-") as folder:
        copy = Path(shutil.copytree(SOURCES, Path(folder) / "src", ignore=shutil.ignore_patterns("__pycache__")))
        target = copy / options.module.resolve().relative_to(SOURCES.resolve())
        began = time.monotonic()
        if not tests_pass(copy, tests, timeout_seconds=600):
            print(f"{options.module}: the tests fail without a mutation; fix them first")
            return 2
        limit_seconds = 10 + 4 * (time.monotonic() - began)
        for number in numbers:
            tree = ast.parse(text)
            site = next(islice(find_sites(tree), number, None))
            site.apply()
            target.write_text(ast.unparse(tree), encoding="utf-8")
            for compiled in target.parent.glob(f"__pycache__/{target.stem}.*"):
                compiled.unlink()  # Python compares whole seconds, which two mutants may share
            if tests_pass(copy, tests, limit_seconds):
                survivors += 1
                line = text.splitlines()[site.line - 1].strip()
                print(f"{options.module}:{site.line}: survived: {site.change}    {line}", flush=True)
    print(f"{options.module}: {len(numbers) - survivors} of {len(numbers)} mutants killed")
    return 1 if survivors else 0


def find_sites(tree: ast.AST) -> Iterator[Site]:
    """All mutants of a tree, always in the same order."""
    for node in _walk(tree):
        match node:
            case ast.Compare():
                for index, operator in enumerate(node.ops):
                    other = COMPARISONS[type(operator)]
                    change = lambda n=node, i=index, o=other: _set(n.ops, i, o())  # noqa: E731
                    yield _site(node, _name(operator), other.__name__, change)
            case ast.BinOp() | ast.AugAssign() if type(node.op) in ARITHMETIC:
                other_operator = ARITHMETIC[type(node.op)]
                change = lambda n=node, o=other_operator: setattr(n, "op", o())  # noqa: E731
                yield _site(node, _name(node.op), other_operator.__name__, change)
            case ast.BoolOp():
                other_bool = ast.Or if isinstance(node.op, ast.And) else ast.And
                change = lambda n=node, o=other_bool: setattr(n, "op", o())  # noqa: E731
                yield _site(node, _name(node.op), other_bool.__name__, change)
            case ast.UnaryOp(op=ast.Not()):
                double = lambda n=node: setattr(n, "operand", ast.UnaryOp(ast.Not(), n.operand))  # noqa: E731
                yield _site(node, "not x", "x", double)
            case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
                for changed in (value + 1, value - 1):
                    yield _site(node, repr(value), repr(changed), lambda n=node, v=changed: setattr(n, "value", v))
            case _:
                pass


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    for name, value in ast.iter_fields(node):
        if name not in SKIPPED_FIELDS:
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from _walk(child)


def _site(node: ast.AST, before: str, after: str, apply: Callable[[], None]) -> Site:
    return Site(node.lineno, f"{before} -> {after}", apply)  # type: ignore[attr-defined]


def _name(operator: ast.AST) -> str:
    return type(operator).__name__


def _set(values: list[ast.cmpop], index: int, value: ast.cmpop) -> None:
    values[index] = value


def tests_pass(sources: Path, tests: list[str], timeout_seconds: float) -> bool:
    """Whether pytest passes with the package at `sources`; a run that does not end in time has failed."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-n", "0", "-p", "no:cacheprovider", *tests]
    environment = os.environ | {"PYTHONPATH": str(sources), "JAX_COMPILATION_CACHE_DIR": str(sources.parent / "jax")}
    try:
        done = subprocess.run(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=timeout_seconds
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
