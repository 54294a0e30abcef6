from __future__ import annotations

import json
from pathlib import Path

import pytest

from thinkaloud.errors import UserError
from thinkaloud.evaluate.named_set import read_set


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """GSM8K as its hub copy has it: two rows to train on and two to test on, one of which is no task."""
    rows = {
        "train": [{"question": f"What is {n} + 1?", "answer": f"It is {n + 1}.\n#### {n + 1}"} for n in (1, 2)],
        "test": [{"question": "What is 5 + 5?", "answer": "Ten.\n#### 10"}, {"question": "", "answer": ""}],
    }
    (tmp_path / "gsm8k").mkdir()
    for split, lines in rows.items():
        (tmp_path / "gsm8k" / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    return tmp_path


def test_test_rows_unless_a_split_is_named(folder: Path) -> None:
    (task,) = read_set("gsm8k", folder)
    assert (task.domain, task.question, task.answer, task.source) == ("math", "What is 5 + 5?", "10", "gsm8k")
    assert [task.answer for task in read_set("gsm8k:train", folder)] == ["2", "3"]
    (folder / "gsm8k" / "test.jsonl").unlink()
    assert len(read_set("gsm8k", folder)) == 2, "all there is"


def test_mistakes_are_the_users(folder: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'gsm8k'"):
        read_set("gsm8", folder)
    with pytest.raises(UserError, match="expected a split 'dev'"):
        read_set("gsm8k:dev", folder)
    with pytest.raises(UserError, match="expected a folder"):
        read_set("gsm8k", folder / "absent")
    with pytest.raises(UserError, match=r"svamp.*found gsm8k.*--data-dir"):
        read_set("svamp", folder)
    (folder / "gsm8k" / "test.jsonl").write_text("")
    with pytest.raises(UserError, match="gsm8k:test"):
        read_set("gsm8k:test", folder)
