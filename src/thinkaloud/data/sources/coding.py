"""Coding: a function to write, and the assertions that it must pass."""

from __future__ import annotations

import ast

from thinkaloud.data.clean import clean_code, clean_text
from thinkaloud.data.rows import Values
from thinkaloud.data.sources.base import InvalidRow, Source, new_task, required, text_in
from thinkaloud.records import Task


def mbpp(row: Values) -> Task:
    """Fields `text` (`prompt` in the sanitized copy), `code`, `test_list`, `test_setup_code` (`test_imports`).

    One test is shown, because the function's name and signature cannot be guessed; the others stay hidden.
    """
    text = required(clean_text(text_in(row, "text", "prompt")), "no question")
    tests = tuple(test for value in row.get("test_list") or () if (test := clean_code(str(value)).strip()))
    if not tests:
        raise InvalidRow("no tests")
    if len(set(tests)) < 2:
        raise InvalidRow("no hidden test")
    imports = row.get("test_imports") or ()
    return new_task(
        domain="coding",
        question=f"{text}\nExample: {tests[0]}",
        key=text,
        answer=required(clean_code(text_in(row, "code")), "no answer"),
        tests=tests,
        setup=clean_code(text_in(row, "test_setup_code") or "\n".join(str(line) for line in imports)),
    )


def humaneval(row: Values) -> Task:
    """Fields `prompt` (the head of the function), `canonical_solution`, `test` (a function `check`), `entry_point`."""
    prompt = required(clean_code(text_in(row, "prompt")), "no question")
    body = required(clean_code(text_in(row, "canonical_solution")), "no answer")
    return new_task(
        domain="coding",
        question=f"Complete this Python function. Answer with the whole function.\n\n{prompt}",
        key=prompt,
        answer=f"{prompt}\n{body}",
        tests=_assertions(text_in(row, "test"), text_in(row, "entry_point").strip()),
    )


class _Rename(ast.NodeTransformer):
    """Replaces `candidate` by the function's own name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Name(self._name, node.ctx) if node.id == "candidate" else node


def _assertions(test: str, function: str) -> tuple[str, ...]:
    """The assertions of a `check(candidate)`, one per string.

    Raises:
        InvalidRow: It does anything else, so that its assertions do not work on their own.
    """
    if not test or not function.isidentifier():
        raise InvalidRow("no tests")
    try:
        module = ast.parse(test)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise InvalidRow("tests are not Python") from None
    checks = [node for node in module.body if isinstance(node, ast.FunctionDef) and node.name == "check"]
    if len(checks) != 1:
        raise InvalidRow("tests are more than assertions")
    found = [node for node in checks[0].body if not _is_text(node) and not _is_true(node)]
    if not found or not all(isinstance(node, ast.Assert) for node in found):
        raise InvalidRow("tests are more than assertions")
    return tuple(ast.unparse(_Rename(function).visit(node)) for node in found)


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_true(node: ast.stmt) -> bool:
    """`assert True`, a filler in HumanEval."""
    return isinstance(node, ast.Assert) and isinstance(node.test, ast.Constant)


SOURCES = (
    Source(
        name="mbpp",
        hub="google-research-datasets/mbpp",
        config="full",
        domains=("coding",),
        license="CC BY 4.0",
        to_task=mbpp,
        splits={"train": "train", "prompt": "train", "validation": "validation"},
        caps={"coding": 900},
    ),
    Source(
        name="humaneval",
        hub="openai/openai_humaneval",
        domains=("coding",),
        license="MIT",
        to_task=humaneval,
        splits={"test": "test"},
    ),
)
