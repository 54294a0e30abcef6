"""The user's own source: columns mapped in the recipe, options and tests as lists or JSON, a domain of a new name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from thinkaloud.config import SourceConfig
from thinkaloud.data.read import open_source
from thinkaloud.data.rows import Rejection
from thinkaloud.data.sources import InvalidRow, own_source
from thinkaloud.errors import UserError
from thinkaloud.records import Task


def mapped(config: dict[str, Any], **row: Any) -> Any:
    return own_source("mine", SourceConfig(path="x", **config)).to_task(row)


def refused(config: dict[str, Any], **row: Any) -> str:
    with pytest.raises(InvalidRow) as caught:
        mapped(config, **row)
    return str(caught.value)


CHOICE = {"domain": "geography", "scored_as": "science", "choices": "options"}


@pytest.mark.parametrize("answer", ["Lima", "lima.", "B", "(b)", "2", 2, 2.0])
@pytest.mark.parametrize("as_json", [False, True])
def test_options_and_how_the_answer_names_one(answer: object, as_json: bool) -> None:
    options: Any = ["Quito", "Lima", "La  Paz"]
    found = mapped(
        CHOICE, question="Peru's capital?", answer=answer, options=json.dumps(options) if as_json else options
    )
    assert found.question == "Peru's capital?\n\nA) Quito\nB) Lima\nC) La Paz"
    assert (found.domain, found.key, found.answer) == ("geography", "Peru's capital?", "Lima")
    assert found.choices == ("Quito", "Lima", "La Paz")


def test_options_that_stand_in_the_question() -> None:
    question = "Peru's capital?\nA. Quito\nB. Lima"
    shown = {"domain": "geography", "scored_as": "science"}
    found = mapped(shown, question=question, answer="B")
    assert (found.question, found.answer, found.choices) == (question, "B", ("Quito", "Lima"))
    assert mapped(shown, question=question, answer="Bogota").choices == ()
    assert mapped({**shown, "scored_as": "reference"}, question=question, answer="B").choices == ()


def test_options_that_are_none_or_no_list() -> None:
    assert refused(CHOICE, question="Q?", answer="D", options=["x", "y"]) == "the answer is none of the options"
    assert refused(CHOICE, question="Q?", answer="x", options="x|y") == "options are not a list"
    assert refused(CHOICE, question="Q?", answer="x", options={"a": 1}) == "options are not a list"
    assert refused(CHOICE, question="Q?", answer=None, options=["x", "y"]) == "no answer"
    assert mapped(CHOICE, question="Q?", answer="x", options=None).choices == ()


def test_answers_that_count_from_zero_stop_the_build() -> None:
    with pytest.raises(UserError, match=r"found 0.*'answer'"):
        mapped(CHOICE, question="Q?", answer=0, options=["x", "y"])
    assert mapped(CHOICE, question="Q?", answer=0, options=["1", "0"]).answer == "0"


def test_options_in_columns_of_their_own_in_an_object_and_in_python_s_notation() -> None:
    row = {"question": "Peru's capital?", "answer": "B", "one": "Quito", "two": "Lima", "three": ""}
    assert mapped({**CHOICE, "choices": ("one", "two", "three")}, **row).choices == ("Quito", "Lima")
    for options in ({"text": ["Quito", "Lima"], "label": ["A", "B"]}, "['Quito', 'Lima']"):
        found = mapped(CHOICE, question="Peru's capital?", answer="B", options=options)
        assert (found.choices, found.answer) == (("Quito", "Lima"), "Lima")
    assert refused(CHOICE, question="Q?", answer="x", options="[" * 50_000) == "options are not a list"


def test_answers_of_a_column_that_counts_from_zero(tmp_path: Path) -> None:
    path = tmp_path / "quiz.jsonl"
    rows = [{"question": f"Pick {n}", "answer": n, "options": ["red", "green", "2"]} for n in (2, 0, 1, 3)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = list(open_source("mine", SourceConfig(path=str(path), **CHOICE)).rows())
    assert [row.answer if isinstance(row, Task) else row.reason for row in found] == [
        *("2", "red", "green"),
        "the answer is none of the options",
    ]


def test_an_answer_after_a_mark_and_a_context() -> None:
    config = {"domain": "math", "answer_after": "####", "context": "passage"}
    found = mapped(config, question="How many?", answer="2 + 3 = <<2+3=5>>5.\n#### 5", passage="Two, then three.")
    assert (found.answer, found.rationale) == ("5", "2 + 3 = 5.")
    assert found.question == "Two, then three.\n\nHow many?"
    assert (
        mapped(config | {"rationale": "why"}, question="?", answer="x #### 5", why="Own.", passage="").rationale
        == "Own."
    )
    assert refused(config, question="?", answer="5", passage=None) == "the answer lacks the mark of answer_after"


@pytest.mark.parametrize("answers", [["yes", ["no"]], [[1], "0"]])
def test_first_rows_that_hold_no_text_are_rejected_alone(tmp_path: Path, answers: list[Any]) -> None:
    path = tmp_path / "odd.jsonl"
    path.write_text("".join(json.dumps({"question": f"Odd {a}?", "answer": a}) + "\n" for a in answers))
    rows = list(open_source("mine", SourceConfig(path=str(path), domain="logic")).rows())
    assert [isinstance(row, Task) for row in rows] == [isinstance(a, str) for a in answers]


def test_columns_by_other_names_and_values_that_are_no_text() -> None:
    config = {"domain": "math", "question": "ask", "answer": "gold", "rationale": "why"}
    found = mapped(config, ask=" 1 +  1? ", gold=2.0, why="One and one.")
    assert (found.question, found.answer, found.rationale) == ("1 + 1?", "2", "One and one.")
    assert mapped(config, ask="?", gold=2.5, why=None).answer == "2.5"
    assert mapped(config, ask="?", gold=2, why="</reasoning>").rationale == ""
    assert refused(config, ask="?", gold=float("nan")) == "no answer"
    assert refused(config, ask="?", gold=["2"]) == "column gold: a list instead of text"
    assert refused(config, ask=None, gold=2) == "no question"


def test_truth_values_are_yes_and_no() -> None:
    config = {"domain": "logic"}
    assert mapped(config, question="?", answer=True).answer == "yes"
    assert mapped(config, question="?", answer="no").answer == "no"
    assert mapped(config, question="?", answer="TRUE").answer == "yes"


@pytest.mark.parametrize(("yes", "no"), [("1", "0"), (1, 0), (1.0, 0.0), ("Y", "N"), ("t", "f"), (True, False)])
def test_labels_of_a_column_are_yes_and_no(tmp_path: Path, yes: object, no: object) -> None:
    path = tmp_path / "claims.jsonl"
    path.write_text("".join(json.dumps({"question": f"Claim {a}?", "answer": a}) + "\n" for a in (yes, no)))
    rows = list(open_source("mine", SourceConfig(path=str(path), domain="logic")).rows())
    assert [(row.answer, bool(row.note)) for row in rows if isinstance(row, Task)] == [("yes", True), ("no", True)]


@pytest.mark.parametrize("answers", [["1", "1"], ["1", "0", "7"], ["T", "F", "S"], ["y", "f"], ["Ann", "N"]])
def test_other_columns_keep_their_answers(tmp_path: Path, answers: list[str]) -> None:
    path = tmp_path / "puzzles.jsonl"
    path.write_text(
        "".join(json.dumps({"question": f"Puzzle {i}?", "answer": a}) + "\n" for i, a in enumerate(answers))
    )
    rows = list(open_source("mine", SourceConfig(path=str(path), domain="logic")).rows())
    assert [row.answer for row in rows if isinstance(row, Task)] == answers


CODING = {"domain": "coding", "tests": "tests", "setup": "before"}


@pytest.mark.parametrize("as_json", [False, True])
def test_coding(as_json: bool) -> None:
    tests: Any = ["assert f(1) == 2", "assert f(2) == 4"]
    row = {"question": "Double:\n    n", "answer": "def f(n):\r\n    return 2 * n", "before": "import math"}
    found = mapped(CODING, **row, tests=json.dumps(tests) if as_json else tests)
    assert (found.question, found.answer) == ("Double:\n    n", "def f(n):\n    return 2 * n")
    assert (found.tests, found.setup) == (tuple(tests), "import math")
    assert refused(CODING, **row, tests=[]) == "no tests"
    assert refused(CODING, **row, tests="assert f(1) == 2") == "tests are not a list"


def test_columns_and_domain_must_go_together() -> None:
    with pytest.raises(UserError, match="tests"):
        own_source("mine", SourceConfig(path="x", domain="coding"))
    with pytest.raises(UserError, match=r"choices.*scored as math"):
        own_source("mine", SourceConfig(path="x", domain="math", choices="options"))


def read(path: Path, **config: Any) -> list[Task | Rejection]:
    return list(open_source("mine", SourceConfig(path=str(path), domain="math", **config)).rows())


def test_a_missing_column_lists_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "sums.csv"
    path.write_text("task,gold\n1 + 1?,2\n2 + 2?,4\n")
    with pytest.raises(UserError, match=r"sources\.mine: expected a column 'question' in .*found task, gold"):
        read(path)
    rows = read(path, question="task", answer="gold")
    assert [(row.answer, row.split) for row in rows if isinstance(row, Task)] == [("2", "train"), ("4", "train")]


def test_a_column_that_some_rows_lack_is_theirs_alone(tmp_path: Path) -> None:
    path = tmp_path / "sums.jsonl"
    path.write_text('{"question": "1 + 1?"}\n{"question": "2 + 2?", "answer": "4"}\n')
    rejected, task = read(path)
    assert isinstance(rejected, Rejection)
    assert (rejected.reason, rejected.row.number) == ("no answer", 1)
    assert isinstance(task, Task)


def test_a_folder_of_the_user_s_splits(tmp_path: Path) -> None:
    for split in ("dev", "test", "train"):
        (tmp_path / f"{split}.jsonl").write_text(json.dumps({"question": f"1 + 1 in {split}?", "answer": "2"}))

    def tasks(path: Path, **config: Any) -> list[tuple[str, str]]:
        return [(row.question, row.split) for row in read(path, **config) if isinstance(row, Task)]

    assert tasks(tmp_path) == [
        ("1 + 1 in train?", "train"),
        ("1 + 1 in dev?", "validation"),
        ("1 + 1 in test?", "test"),
    ]
    assert tasks(tmp_path, splits=("dev",)) == [("1 + 1 in dev?", "validation")]
    assert tasks(tmp_path / "test.jsonl") == [("1 + 1 in test?", "test")]


def test_chat_messages_give_question_and_answer(tmp_path: Path) -> None:
    turns = [("system", "Be brief."), ("user", "Hello"), ("assistant", "Hi"), ("user", "1 + 1?"), ("assistant", "2")]
    row = {"messages": [{"role": role, "content": content} for role, content in turns]}
    path = tmp_path / "chats.jsonl"
    path.write_text(json.dumps(row) + "\n" + json.dumps({"messages": "none"}) + "\n")
    task, rejected = read(path)
    other = {"conversations": [{"from": "human", "value": "1 + 1?"}, {"from": "gpt", "value": "2"}]}
    path.write_text(json.dumps(other) + "\n" + json.dumps({"messages": json.dumps(row["messages"])}) + "\n")
    assert [(found.question, found.answer) for found in read(path) if isinstance(found, Task)] == [("1 + 1?", "2")] * 2
    assert isinstance(task, Task)
    assert (task.question, task.answer) == ("1 + 1?", "2")
    assert isinstance(rejected, Rejection)
    assert rejected.reason == "no question"


def test_values_of_every_type_are_read_or_named(tmp_path: Path) -> None:
    import datetime
    from decimal import Decimal

    import pyarrow as pa
    import pyarrow.parquet as pq

    def read_one(values: pa.Array) -> list[str]:
        table = pa.table({"question": pa.array(["How much?"] * len(values)), "answer": values})
        pq.write_table(table, tmp_path / "rows.parquet")
        return [row.answer if isinstance(row, Task) else row.reason for row in read(tmp_path / "rows.parquet")]

    assert read_one(pa.array([Decimal("12.50"), Decimal("3.00")], pa.decimal128(10, 2))) == ["12.5", "3"]
    assert read_one(pa.array([b"42", b"\xff"])) == ["42", "column answer: bytes that are not UTF-8"]
    assert read_one(pa.array([33.1, 2.0], pa.float32())) == ["33.1", "2"]
    assert read_one(pa.array([22090603.0, 0.1 + 0.2, 1e-7])) == ["22090603", "0.3", "0.0000001"]
    assert read_one(pa.array([[1, 2]])) == ["column answer: a list instead of text"]
    assert read_one(pa.array([{"a": 1}])) == ["column answer: an object instead of text"]
    assert read_one(pa.array([datetime.date(2026, 11, 28)])) == ["2026-11-28"]
    assert read_one(pa.array([None, "5"])) == ["no answer", "5"]
