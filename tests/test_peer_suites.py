"""The readers of `scripts/peer_suites.py`, on test files of our own in the shapes that other projects use."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = Path(__file__).parent.parent / "scripts"

PARAMETRIZED = r"""
import pytest
raise SystemExit("never run")

@pytest.mark.parametrize("gold,pred,expected", [("$7$", "seven: 7", 1), ("$7$", "8", 0), (f"{1}", "1", 1)])
def test_numbers(gold, pred, expected):
    assert check(gold, pred, match_types=["expr"]) == expected

@pytest.mark.parametrize("gold,pred,language,expected", [("B", "B", Language.FRENCH, True)])
def test_letters(gold, pred, language, expected):
    assert check(gold, pred, match_types=["NativeLetters"]) == expected

@pytest.mark.parametrize("gold, pred, strict, expected", [("f(x)", "f(y)", False, 1), ("f(x)", "f(y)", True, 0)])
def test_modes(gold, pred, strict, expected): ...
"""
EQUIVALENCES = r"""
class Tests(unittest.TestCase):
    def test_same(self):
        one = "1/2"
        other = "\\frac{1}{2}"
        self.assertTrue(is_equiv(one, other))
    def test_other(self):
        one = "3"
        self.assertFalse(is_equiv(one, unknown))
        self.assertFalse(is_equiv(one, "4"))
"""
EXPANDED = r"""
class Tests:
    @parameterized.expand([("short", "<answer>7</answer>", "7", 1.0), ("half", "7 or 8", "7", 0.5)])
    def test_basic_scenarios(self, name, prediction, label, expected_score): ...
    @parameterized.expand([("50.0", "50")])
    def test_latex_normalization(self, input_string, expected_output): ...
    @parameterized.expand([("none", "7", "7", 1.0)])
    def test_another_verifier(self, name, prediction, label, expected_score): ...
"""
ASSERTIONS = r"""
def test_scores():
    entry = {"question": make(), "answer": "12"}
    assert dataset.score_answer("12", entry) == 1.0
    assert dataset.score_answer(answer="13", entry=entry) == 0.1
    assert dataset.score_answer(None, entry) == 0.0
    assert 0.1 < dataset.score_answer("14", entry) < 0.5
    assert float_match("1", "1.1", rel_tol=0.2) == 1.0
    assert string_match("Yes", "yes") >= 0.99
    assert dataset.score_answer("15", {"answer": "16"}) > 0.01
"""


@pytest.fixture(scope="module")
def suites() -> ModuleType:
    spec = importlib.util.spec_from_file_location("peer_suites", SCRIPTS / "peer_suites.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["peer_suites"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def read(suites: ModuleType, folder: Path, suite: str, path: str, text: str) -> list[tuple[str, str, bool]]:
    (folder / suite / path).parent.mkdir(parents=True)
    (folder / suite / path).write_text(text, "utf-8")
    return [(pair.gold, pair.answer, pair.right) for pair in suites.read_suites(folder)[suite]]


def test_parametrized_tests(suites: ModuleType, tmp_path: Path) -> None:
    found = read(suites, tmp_path, "Math-Verify", "tests/test_one.py", PARAMETRIZED)
    assert found == [("$7$", "seven: 7", True), ("$7$", "8", False), ("B", "B", True), ("f(x)", "f(y)", False)]
    letters = suites.read_suites(tmp_path)["Math-Verify"][2]
    assert (letters.options, letters.english) == (True, False)


def test_equivalences(suites: ModuleType, tmp_path: Path) -> None:
    found = read(suites, tmp_path, "math", "modeling/math_equivalence_test.py", EQUIVALENCES)
    assert found == [("1/2", "\\frac{1}{2}", True), ("3", "4", False)]


def test_expanded_tests_of_verifiers(suites: ModuleType, tmp_path: Path) -> None:
    found = read(suites, tmp_path, "open-instruct", "open_instruct/test_math_utils.py", EXPANDED)
    assert found == [("7", "<answer>7</answer>", True), ("50", "50.0", True)]


def test_assertions_with_constants(suites: ModuleType, tmp_path: Path) -> None:
    found = read(suites, tmp_path, "reasoning-gym", "tests/test_one.py", ASSERTIONS)
    assert found == [("12", "12", True), ("12", "13", False), ("yes", "Yes", True)]


def test_a_missing_checkout_is_none(suites: ModuleType, tmp_path: Path) -> None:
    assert set(suites.read_suites(tmp_path).values()) == {None}
