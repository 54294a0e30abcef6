"""How a test is split: what is asked of the solver, what is judged here, what goes to the checker."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest

from thinkaloud.sandbox.assertions import DirectTest, read_tests
from thinkaloud.sandbox.inside.codec import CodecError


def direct(test: str, setup: str = "") -> DirectTest:
    (read,) = read_tests((test,), setup).tests
    assert read is not None, "went to the checker"
    return read


@pytest.mark.parametrize(
    ("test", "asked"),
    [
        ("assert f(1, [2]) == 3", ["(f(1, [2])\n)"]),
        ("assert 3 == f(1)", ["(f(1)\n)"]),
        ("assert f(g(1), Pair(2, 3)) == 4", ["(f(g(1), Pair(2, 3))\n)"]),
        ("assert f(x)[0] == 4", ["(f(x)[0]\n)"]),
        ("assert Solution().f(3) == 4", ["(Solution().f(3)\n)"]),
        ("assert root.left.value == 4", ["(root.left.value\n)"]),
        ("assert f(1) == g(2)", ["(f(1)\n)", "(g(2)\n)"]),
        ("assert sum(10, 15) == 6", ["(sum(10, 15)\n)"]),  # MBPP 126: only a built-in's name is called
        ("assert sorted(sum(10, 15)) == [6]", ["(sum(10, 15)\n)"]),
        ("assert sum(10, 15) == math.pi", ["(sum(10, 15)\n)"]),
        ("assert set(f(1)) == set([1, 2])", ["(f(1)\n)"]),
        ("assert abs(f(1) - 2.5) < 1e-6", ["(f(1)\n)"]),
        ("assert math.isclose(f(1), 2.5, rel_tol=1e-3)", ["(f(1)\n)"]),
        ("assert f('é')  == 'ü'", ["(f('é')\n)"]),
        ("assert f(1) # a comment\n", ["(f(1)\n)"]),
        ("assert math(3) == 4", ["(math(3)\n)"]),  # a module cannot be called, so this is the program's
    ],
)
def test_what_the_solver_is_asked(test: str, asked: list[str]) -> None:
    assert list(direct(test).calls) == asked


def test_expected_values_are_never_sent() -> None:
    for test in ("assert f(1) == 987654", "assert abs(f(1) - 987654) < 1", "assert f(1) in (987654, 2)"):
        assert all("987654" not in call for call in direct(test).calls)


@pytest.mark.parametrize(
    "test",
    [
        "assert tuple_size(('A', 1)) == sys.getsizeof(('A', 1))",  # MBPP 596
        "def check(candidate):\n    assert candidate(1) == 2\ncheck(f)",  # HumanEval
        "assert sorted(f(1), key=lambda item: -item) == [2, 1]",
        "assert ''.join(f(1)) == 'ab'",
        "assert [f(k) for k in range(3)] == [0, 1, 2]",
        "assert f(1) is g(1)",
        "assert f(1) == Counter('aab')",
        "assert isinstance(f(1), int)",
        "x = f(1)\nassert x == 2",
        "for k in range(3): assert f(k) == k",
        "assert f'{f(1)}' == '1'",
        "assert f(1) == '%d' % 3",
        "assert f(1) == 1 / 0",
        "assert f(1) == 'a' * 10**9",
        "assert round(f(1), 1) == Decimal('0.3')",
    ],
)
def test_what_goes_to_the_checker(test: str) -> None:
    assert read_tests((test,)).tests == (None,)


def test_names_that_tests_bind_are_not_the_programs() -> None:
    assert read_tests(("x = f(1)", "assert x == 2")).tests == (None, None)
    assert read_tests(("x = f(1)", "assert x == 2")).functions == ("f",)


def test_names_in_the_checker() -> None:
    plan = read_tests(("assert f(1) == Counter(g(2)) and sys.maxsize > h.count", "def check(c): assert c(1)\ncheck(f)"))
    assert plan.functions == ("f", "g", "h")
    assert dict(plan.standard) == {"Counter": "collections:Counter", "sys": "sys"}


def test_names_that_the_setup_imports_are_not_the_programs() -> None:
    assert read_tests(("assert f(2) == sqrt(4)",), "from math import sqrt").tests == (None,)
    assert len(direct("assert f(2) == sqrt(4)").calls) == 2


def test_a_module_name_that_the_setup_assigns_is_the_programs() -> None:
    assert len(direct("assert queue.head == 1", "queue = Queue()").calls) == 1
    assert read_tests(("assert queue.head == 1",)).tests == (None,)


@pytest.mark.parametrize(
    ("test", "value", "passes"),
    [
        ("assert f(1) == 3", 3, True),
        ("assert f(1) == 3", 3.0, True),
        ("assert f(1) == 3", 4, False),
        ("assert f(1) == 3", "3", False),
        ("assert f(1) == [1, (2, 3)]", [1, (2, 3)], True),
        ("assert f(1) == [1, (2, 3)]", [1, [2, 3]], False),
        ("assert f(1) == -2.5", -2.5, True),
        ("assert f(1) == {'a': {1, 2}}", {"a": {2, 1}}, True),
        ("assert f(1) == set()", set(), True),
        ("assert f(1) == 10**9 + 7", 1_000_000_007, True),
        ("assert f(1) == 2**0.5", 2**0.5, True),
        ("assert f(1) == float('inf')", float("inf"), True),
        ("assert f(1) == math.pi", 3.141592653589793, True),
        ("assert f(1) != 3", 4, True),
        ("assert f(1)", [], False),
        ("assert f(1)", [0], True),
        ("assert not f(1)", 0, True),
        ("assert f(1) is None", None, True),
        ("assert f(1) is True", 1, False),
        ("assert f(1) is not None", 0, True),
        ("assert f(1) in (1, 2)", 2, True),
        ("assert 7 not in f(1)", [1, 2], True),
        ("assert 1 < f(1) <= 3", 3, True),
        ("assert 1 < f(1) <= 3", 1, False),
        ("assert f(1) > 2 and f(1) < 5", 2, False),
        ("assert set(f(1)) == {1, 2}", [2, 1, 1], True),
        ("assert sorted(f(1)) == [1, 2]", {2, 1}, True),
        ("assert len(f(1)) == 2", "ab", True),
        ("assert tuple(f(1)) == (1, 2)", [1, 2], True),
        ("assert list(f(1)) == [0, 1]", range(2), True),
        ("assert round(f(1), 2) == 3.14", 3.14159, True),
        ("assert abs(f(1) - 2.5) < 1e-6", 2.5 + 1e-9, True),
        ("assert abs(f(1) - 2.5) < 1e-6", float("nan"), False),
        ("assert math.isclose(f(1), 2.5, abs_tol=0.1)", 2.55, True),
        ("assert isclose(f(1), 2.5)", Fraction(5, 2), True),
        ("assert (f(1)) == (3)", 3, True),
        ("assert f(1) == 'ab' * 3 + 'c'", "abababc", True),
        ("assert f(1) == [0] * 3 + [1]", [0, 0, 0, 1], True),
        ("assert f(1) + 'a' == 'ba'", "b", True),
        ("assert f(1) * 2 == 'aa'", "a", True),
        ("assert f(1) - {1} == {2}", {1, 2}, True),
        ("assert abs(f(1)) == 0.5", Fraction(-1, 2), True),
        ("assert round(f(1), 1) < 0.3", Decimal("0.25"), True),
        ("assert -f(1) == 3", -3, True),
        ("assert f(1) % 3 == 1 and f(1) // 3 == 2", 7, True),
    ],
)
def test_judgement(test: str, value: object, passes: bool) -> None:
    read = direct(test)
    assert bool(read.judge([value] * len(read.calls))) is passes


@pytest.mark.parametrize(
    ("test", "value"),
    [
        ("assert sorted(f(1)) == [1]", range(10**18)),
        ("assert set(f(1)) == {1}", range(10**12)),
        ("assert 'x' in f(1)", range(10**12)),
        ("assert max(f(1)) == 1", range(10**12)),
        ("assert 2 ** f(1) == 1", 10**9),
        ("assert f(1) ** f(1) == 1", 10**9),
        ("assert round(5, f(1)) == 1", -(10**9)),
        ("assert float(f(1)) == 1.0", "1" * 10_000),
        ("assert f(1) * 10**9 == 'a'", "a"),
        ("assert f(1) % 3 == 'a'", "%999999999d"),
        ("assert round(f(1)) == 1", Decimal("1E+999999999")),
        ("assert set(f(1)) == {1}", [k * (2**61 - 1) for k in range(1, 100_000)]),
        ("assert len(f(1)) == 1", 5),
        ("assert f(1) < 3", "x"),
    ],
)
def test_values_that_cannot_be_judged_raise_at_once(test: str, value: object) -> None:
    read = direct(test)
    with pytest.raises((ArithmeticError, CodecError, TypeError, ValueError)):
        read.judge([value] * len(read.calls))


@pytest.mark.parametrize(
    ("tests", "error"),
    [
        ((), "no tests"),
        (("assert f(1) ==",), "do not parse"),
        (("assert f(1) == 3\0",), "do not parse"),
        (("assert f(" + "(" * 500 + ")" * 500 + ") == 3",), "do not parse"),
    ],
)
def test_tests_that_cannot_be_used(tests: tuple[str, ...], error: str) -> None:
    assert error in read_tests(tests).error
