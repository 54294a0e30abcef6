"""JSON lines in, scores or errors out, in order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from thinkaloud.rewards import lines as lines_module
from thinkaloud.rewards import score_lines

TEXT = "<reasoning>six times seven</reasoning><answer>42</answer>"
ROW = {"domain": "math", "question": "6 * 7?", "answer": "42", "completion": TEXT}


def run(*rows: Any) -> list[dict[str, Any]]:
    return list(score_lines(row if isinstance(row, str) else json.dumps(row) for row in rows))


def test_a_score_as_an_object() -> None:
    assert run(ROW) == [
        {
            "reward": 1.0,
            "status": "correct",
            "reason": None,
            "components": {"format": 0.2, "correctness": 0.8},
            "explanation": "the same as '42'",
        }
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", "JSON object"),
        ("[" * 100_000, "JSON object"),
        ("[1]", "found a list"),
        ("null", "found null"),
        ({"domain": "math"}, "'question', 'answer', 'completion'"),
        (ROW | {"domain": "maths"}, "'math'"),
        (ROW | {"completion": None}, "'completion', found null"),
        (ROW | {"answer": ["42"]}, "'answer', found a list"),
        (ROW | {"answer": True}, "'answer', found true or false"),
        (ROW | {"tests": "assert 1"}, "'tests', found text"),
        (ROW | {"choices": ["a", 1]}, "'choices', found a list"),
        (ROW | {"choice": ["a"]}, "'choices'"),
        (ROW | {"finish": "eos"}, "found 'eos'"),
        (ROW | {"finish": ["stop"]}, "found ['stop']"),
    ],
)
def test_a_bad_line_is_an_error_of_its_own(row: Any, message: str) -> None:
    before, error, after = run(ROW, row, ROW)
    assert before["reward"] == after["reward"] == 1.0
    assert list(error) == ["error", "line"]
    assert error["line"] == 2
    assert message in error["error"]
    assert "\n" not in error["error"]


def test_numbers_count_blank_lines_and_results_do_not() -> None:
    found = run("", json.dumps(ROW), "   \n", "{")
    assert [row.get("reward", row.get("line")) for row in found] == [1.0, 4]


def test_further_keys_numbers_as_answers_and_finish() -> None:
    assert run(ROW | {"id": 7, "answer": 42})[0]["reward"] == 1.0
    assert run(ROW | {"finish": "length"})[0]["status"] == "truncated"
    assert run(ROW | {"completion": "\ud800 " + TEXT})[0]["reason"] == "text_outside"


def test_choices_with_a_bare_stem() -> None:
    row = {"domain": "science", "question": "Which gas?", "answer": "B", "choices": ["oxygen", "nitrogen"]}
    answers = ("nitrogen", "B", "B) nitrogen", "A")
    rows = [row | {"completion": f"<reasoning>x</reasoning><answer>{answer}</answer>"} for answer in answers]
    assert [found["status"] for found in run(*rows)] == ["correct", "correct", "correct", "wrong"]


def test_options_that_stand_in_the_question() -> None:
    row = {"domain": "science", "question": "Which gas?\n\nA. oxygen\nB. nitrogen", "answer": "B"}
    answers = ("nitrogen", "B", "B) nitrogen", "Option B", "A", "oxygen", "B) oxygen")
    rows = [row | {"completion": f"<reasoning>x</reasoning><answer>{answer}</answer>"} for answer in answers]
    assert [found["status"] for found in run(*rows)] == ["correct"] * 4 + ["wrong"] * 3
    assert run(rows[0] | {"answer": "nitrogen"})[0]["status"] == "correct"
    assert run(rows[0] | {"answer": "helium"})[0]["explanation"] == "expected 'helium', found 'nitrogen'"
    assert run(rows[3] | {"domain": "math"})[0]["status"] == "wrong", "math has no options"


def test_code_is_run_in_the_sandbox() -> None:
    row = {"domain": "coding", "question": "f", "answer": "f", "tests": ["assert f(1) == 2"], "setup": ""}
    codes = ("def f(x): return x + 1", "def f(x): return x", "import os; os._exit(0)")
    rows = [row | {"completion": f"<reasoning>x</reasoning><answer>{code}</answer>"} for code in codes]
    assert [found["status"] for found in run(*rows)] == ["correct", "wrong", "wrong"]


def test_results_stream_batch_by_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines_module, "BATCH", 2)
    read = 0

    def rows() -> Iterator[str]:
        nonlocal read
        for _ in range(6):
            read += 1
            yield json.dumps(ROW)

    results = score_lines(rows())
    next(results)
    assert read == 2
    assert len(list(results)) == 5


def test_outside_text_may_be_allowed() -> None:
    rows = [json.dumps(ROW | {"completion": f"Well: {TEXT}"})]
    assert [row["reward"] for row in score_lines(rows)] == [0.0]
    assert [row["reward"] for row in score_lines(rows, outside_text="allow")] == [1.0]
