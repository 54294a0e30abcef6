"""Reading rollout files: filters, order, safe output."""

from __future__ import annotations

from pathlib import Path

import pytest

from thinkaloud.errors import UserError
from thinkaloud.records import Completion, Finish, RolloutGroup, Score, Status, Task, task_id
from thinkaloud.tracking.rollout_reader import RolloutFilter, find_rollouts, visible
from thinkaloud.tracking.rollout_writer import write_rollouts


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three steps of a group of two for math and logic; rewards 0.1 ... 1.2 / 12 in order."""
    place = 0
    for step in (1, 2, 3):
        groups = []
        for domain in ("math", "logic"):
            task = Task(id=task_id(domain, "Q"), domain=domain, source="test", question="Q", answer="A")
            members, own = [], []
            for _ in range(2):
                place += 1
                ids = tuple(range(place))
                members.append(
                    Completion(
                        text=f"text {place}",
                        token_ids=ids,
                        logprobs=(0.0,) * place,
                        finish=Finish.STOP,
                    )
                )
                status = Status.CORRECT if place % 2 else Status.WRONG
                own.append(Score(reward=place / 12, status=status))
            groups.append(RolloutGroup(task=task, prompt_ids=(), completions=tuple(members), scores=tuple(own)))
        write_rollouts(tmp_path, step, groups)
    return tmp_path


def texts(folder: Path, criteria: RolloutFilter) -> list[int]:
    return [int(row["text"].split()[1]) for row in find_rollouts(folder, criteria)[0]]


@pytest.mark.parametrize(
    ("criteria", "expected"),
    [
        (RolloutFilter(limit=3), [1, 2, 3]),
        (RolloutFilter(limit=3, ascending=True), [12, 11, 10]),
        (RolloutFilter(domain="math"), [1, 2, 5, 6, 9, 10]),
        (RolloutFilter(domain="math", status="correct"), [1, 5, 9]),
        (RolloutFilter(step=2), [5, 6, 7, 8]),
        (RolloutFilter(step=-1), [9, 10, 11, 12]),
        (RolloutFilter(sort="reward", limit=2), [12, 11]),
        (RolloutFilter(sort="reward", ascending=True, limit=2), [1, 2]),
        (RolloutFilter(sort="length", limit=1), [12]),
        (RolloutFilter(domain="coding"), []),
    ],
)
def test_what_is_criteria(folder: Path, criteria: RolloutFilter, expected: list[int]) -> None:
    assert texts(folder, criteria) == expected


def test_a_row_has_what_a_reader_needs(folder: Path) -> None:
    (row,), _ = find_rollouts(folder, RolloutFilter(limit=1))
    assert row["question"] == "Q"
    assert (row["gold"], row["status"], row["finish"], row["num_tokens"]) == ("A", "correct", "stop", 1)
    assert "token_ids" not in row


def test_mistakes_are_one_line(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"1 to 3.*found 7"):
        find_rollouts(folder, RolloutFilter(step=7))
    with pytest.raises(UserError, match=r"did you mean 'correct'"):
        find_rollouts(folder, RolloutFilter(status="corect"))
    with pytest.raises(UserError, match=r"'mth'.*'math'"):
        find_rollouts(folder, RolloutFilter(domain="mth"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no rollouts"):
        find_rollouts(tmp_path / "empty", RolloutFilter())


def test_a_damaged_file_is_named_and_left_out(folder: Path) -> None:
    (folder / "step-000002.parquet").write_bytes(b"PAR1 no more")
    (folder / ".step-000004.parquet.9").write_bytes(b"")
    rows, bad = find_rollouts(folder, RolloutFilter(limit=99))
    assert bad == ["step-000002.parquet"]
    assert {row["step"] for row in rows} == {1, 3}


def test_hostile_text_cannot_drive_the_terminal() -> None:
    assert visible("a\x1b[2Jb\r\x07\x9b\u202e\n\tc") == "a\\x1b[2Jb\\r\\x07\\x9b\\u202e\n\tc"
