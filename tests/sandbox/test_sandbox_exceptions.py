"""Exceptions of a program at the border to the checker: none of them ends a test early with a pass."""

from __future__ import annotations

import pytest

from thinkaloud.sandbox import Outcome, Sandbox

SHAPES = {
    "map": "assert all(map(double, [4, 5, 6]))",
    "for": "for value in map(double, [4, 5]):\n    assert value in (8, 10)",
    "generator": "def pairs():\n    yield from zip(map(double, [4, 5]), [8, 10])\n"
    "assert all(a == b for a, b in pairs())",
    "sentinel": "items = iter(lambda: double(4), 8)\nassert list(items) == []",
    "not any": "assert not any(value % 2 for value in map(double, [4, 5]))",
    "check": "def check(candidate):\n    for got, want in zip(map(candidate, [4, 5]), [8, 10]):\n"
    "        assert got == want\ncheck(double)",
}
RIGHT = "def double(x):\n    return 2 * x"
ENDS = {
    "StopIteration": "def double(x):\n    raise StopIteration",
    "subclass": "class Quiet(StopIteration): pass\ndef double(x):\n    raise Quiet(x)",
    "exhausted": "def double(x):\n    return next(iter(()))",
    "StopAsyncIteration": "def double(x):\n    raise StopAsyncIteration",
    "GeneratorExit": "def double(x):\n    raise GeneratorExit",
    "renamed": "class Quiet(Exception): pass\nQuiet.__name__ = 'StopIteration'\ndef double(x):\n    raise Quiet",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_an_exception_does_not_end_an_iteration(sandbox: Sandbox, shape: str) -> None:
    assert sandbox.run(RIGHT, [SHAPES[shape]]).ok
    for name, code in ENDS.items():
        verdict = sandbox.run(code, [SHAPES[shape]])
        assert verdict.outcome is Outcome.EXCEPTION, (name, verdict)


def test_an_exception_that_an_iteration_swallows_fails_the_test(sandbox: Sandbox) -> None:
    """`__getitem__` ends the old iteration protocol with IndexError, which the tests may also expect by type."""
    setup = "class Row:\n    def __getitem__(self, index):\n        return half(8) if index < 2 else [][index]"
    test = ["assert all(value == 4 for value in Row())"]
    right, hostile = ("def half(x):\n    return x // 2", "def half(x):\n    raise IndexError")
    assert sandbox.run(right, test, setup=setup).ok
    assert not sandbox.run(hostile, test, setup=setup).ok


@pytest.mark.parametrize(
    "test",
    [
        "try:\n    root(-1)\nexcept ValueError:\n    pass\nelse:\n    assert False",
        "import contextlib\nwith contextlib.suppress(ValueError):\n    root(-1)\n    assert False",
        "import unittest\nunittest.TestCase().assertRaises(ValueError, root, -1)",
    ],
)
def test_an_expected_exception_keeps_its_type(sandbox: Sandbox, test: str) -> None:
    code = "def root(x):\n    if x < 0:\n        raise ValueError('negative')\n    return x ** 0.5"
    assert sandbox.run(code, [test, "assert root(9) == 3"]).ok
    assert not sandbox.run(code.replace("ValueError", "StopIteration"), [test]).ok
