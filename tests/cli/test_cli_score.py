"""`thinkaloud score`: JSON lines in, scores out, in order; invalid lines do not stop it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.cli import Ended, Run
from thinkaloud.rewards import lines


def line(answer: str = "4", **changes: Any) -> dict[str, Any]:
    """A math line whose completion answers `answer`; the gold answer is 4."""
    row = {
        "domain": "math",
        "question": "What is 2 + 2?",
        "answer": "4",
        "completion": f"<reasoning>Two and two.</reasoning><answer>{answer}</answer>",
    }
    return row | changes


def encoded(*rows: object) -> bytes:
    return b"".join((row if isinstance(row, bytes) else json.dumps(row).encode()) + b"\n" for row in rows)


def results(ended: Ended) -> list[dict[str, Any]]:
    return [json.loads(text) for text in ended.out.splitlines()]


def test_scores_in_order(run: Run) -> None:
    answers = ["4", "5", "4", "six", "4.0"] * 120  # more than one batch
    ended = run("score", stdin=encoded(*(line(answer) for answer in answers)))
    assert ended.code == 0
    assert ended.err == "600 completions, 360 paid for the answer, mean reward 0.680: 360 correct, 240 wrong\n"
    expected = {"4": "correct", "4.0": "correct", "5": "wrong", "six": "wrong"}
    found = results(ended)
    assert [row["status"] for row in found] == [expected[answer] for answer in answers]
    assert all(row.keys() == {"reward", "status", "reason", "components", "explanation"} for row in found)
    assert {row["reward"] for row in found if row["status"] == "correct"} == {1.0}


def test_the_summary_leaves_tasks_that_cannot_be_scored_out_of_the_mean(run: Run) -> None:
    rows = [line(), line(completion="4"), line(answer="4") | {"answer": ""}]
    ended = run("score", stdin=encoded(*rows))
    assert (
        ended.err == "3 completions, 1 paid for the answer, mean reward 0.500: 1 correct, 1 bad format, 1 unscorable\n"
    )


BAD = [
    b"not json",
    b"[1, 2]",
    b"null",
    b"{" * 100_000,
    b"[" * 100_000,
    b"\xff\xfe",
    b'{"domain": "math"}',
    json.dumps(line(domain="maths")).encode(),
    json.dumps(line(completion=3)).encode(),
    json.dumps(line(choices="A")).encode(),
    json.dumps(line(finish="stopped")).encode(),
    json.dumps(line(completions="typo")).encode(),
]


@pytest.mark.parametrize("bad", BAD, ids=range(len(BAD)))
def test_a_bad_line_is_an_error_object_with_its_number(run: Run, bad: bytes) -> None:
    ended = run("score", stdin=encoded(line(), b"", bad, line("5"), bad))
    assert ended.code == 2
    summary, error = ended.err.splitlines()
    assert summary.startswith("2 completions")
    assert error.startswith("error: 2 lines ")
    first, error, third, last = results(ended)
    assert (first["status"], third["status"]) == ("correct", "wrong")
    assert error.keys() == last.keys() == {"error", "line"}
    assert (error["line"], last["line"]) == (3, 5)
    assert "expected" in error["error"]


def test_a_line_too_long_is_refused_and_the_next_one_scored(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_LINE_CHARACTERS", 1000)
    exact = json.dumps(line())
    exact += " " * (999 - len(exact))  # a thousand characters with its line feed
    ended = run("score", stdin=encoded(line(completion="x" * 5000), exact.encode(), line(), line(completion="y" * 980)))
    assert [row.get("status", "error") for row in results(ended)] == ["error", "correct", "correct", "error"]
    assert [row.get("line") for row in results(ended)] == [1, None, None, 4]


def test_a_last_line_without_line_feed_and_none_at_all(run: Run) -> None:
    assert results(run("score", stdin=encoded(line()).rstrip(b"\n")))[0]["reward"] == 1.0
    assert run("score", stdin=b"") == Ended(0, "", "")
    assert run("score", stdin=b"\n \n") == Ended(0, "", "")


@pytest.mark.parametrize("arguments", [["lines.jsonl"], ["-"], []])
def test_file_dash_and_standard_input(run: Run, tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "lines.jsonl").write_bytes(encoded(line()))
    assert results(run("score", *arguments, stdin=encoded(line())))[0]["status"] == "correct"


@pytest.mark.parametrize("name", ["absent", "folder"])
def test_no_such_file(run: Run, tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    assert f"cannot read '{name}'" in run("score", name).mistake


def test_bytes_that_are_not_utf_8_are_named(run: Run) -> None:
    broken = encoded(line("§")).replace(b"\\u00a7", b"\xff")
    ended = run("score", stdin=broken + encoded(line()))
    first, second = results(ended)
    assert first["line"] == 1
    assert "UTF-8" in first["error"]
    assert second["status"] == "correct"
    assert ended.code == 2


def test_a_byte_order_mark_is_ignored(run: Run) -> None:
    assert results(run("score", stdin=b"\xef\xbb\xbf" + encoded(line())))[0]["status"] == "correct"


def test_coding_runs_in_the_sandbox(run: Run) -> None:
    coding = {
        "domain": "coding",
        "question": "Write a function double(x).",
        "answer": "def double(x):\n    return 2 * x",
        "tests": ["assert double(2) == 4", "assert double(-1) == -2"],
    }
    right = "<reasoning>Times two.</reasoning><answer>def double(x):\n    return x + x</answer>"
    wrong = "<reasoning>Times two.</reasoning><answer>def double(x):\n    return 4</answer>"
    ended = run("score", stdin=encoded(*({**coding, "completion": text} for text in (right, wrong)), line()))
    if ended.code == 2 and "sandbox" in ended.err:
        pytest.skip(f"this machine cannot contain code: {ended.err}")
    assert [row["status"] for row in results(ended)] == ["correct", "wrong", "correct"]


def test_graded_domains_by_the_original_formulas(run: Run) -> None:
    question = "Write a short story about an old lighthouse keeper who finds one lost whale"
    copied = f"<reasoning>{'word ' * 20}</reasoning><answer>{question}</answer>"
    row = encoded({"domain": "creative_writing", "question": question, "answer": "x", "completion": copied})
    guarded, original = (results(run("score", *more, stdin=row))[0] for more in ((), ("--creative", "original")))
    assert original["reward"] == pytest.approx(1.0)
    assert guarded["reward"] < 0.5
    assert run("score", "--creative", "other", stdin=row).code == 2
