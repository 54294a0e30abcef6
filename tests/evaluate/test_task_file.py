from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from thinkaloud.domains import BUILTIN
from thinkaloud.errors import UserError
from thinkaloud.evaluate.task_file import read_tasks


def write(path: Path, *rows: Any) -> Path:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")
    return path


TASK = {"domain": "math", "question": "2 + 2?", "answer": 4}


def test_tasks_are_read_in_order_and_once(tmp_path: Path) -> None:
    code = {"domain": "coding", "question": "Write f.", "answer": "def f(): ...", "tests": ["assert f() is None"]}
    path = write(tmp_path / "mine.jsonl", TASK, "", {**code, "setup": "import math", "source": "book"}, TASK)
    first, second = read_tasks(path, BUILTIN)
    assert (first.domain, first.answer, first.source, first.split) == ("math", "4", "mine", "test")
    assert (second.tests, second.setup, second.source) == (("assert f() is None",), "import math", "book")


def test_options_that_stand_in_the_question(tmp_path: Path) -> None:
    question = "Which gas?\nA) oxygen\nB) nitrogen"
    rows = [{"domain": name, "question": question, "answer": "B"} for name in ("science", "math")]
    science, math = read_tasks(write(tmp_path / "mine.jsonl", *rows), BUILTIN)
    assert (science.choices, science.answer, science.question) == (("oxygen", "nitrogen"), "B", question)
    assert math.choices == ()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "JSON object"),
        ("[1]", "found a list"),
        ({"domain": "math", "question": "q"}, "answer"),
        ({**TASK, "domain": "maths"}, "'math'"),
        ({**TASK, "answer": None}, "'answer'"),
        ({**TASK, "question": " "}, "question"),
        ({**TASK, "tests": "assert"}, "'tests'"),
        ("[" * 100_000, "line 2"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: Any, said: str) -> None:
    with pytest.raises(UserError, match="line 2") as error:
        read_tasks(write(tmp_path / "tasks.jsonl", TASK, line), BUILTIN)
    assert said in str(error.value)


def test_a_file_that_cannot_be_read_is_the_users_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="absent"):
        read_tasks(tmp_path / "absent.jsonl", BUILTIN)
    (tmp_path / "latin").write_bytes(b"\xff")
    with pytest.raises(UserError, match=r"line 1.*UTF-8"):
        read_tasks(tmp_path / "latin", BUILTIN)
    with pytest.raises(UserError, match="found none"):
        read_tasks(write(tmp_path / "empty"), BUILTIN)
