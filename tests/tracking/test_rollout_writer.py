from __future__ import annotations

import errno
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from thinkaloud.records import Completion, Finish, RolloutGroup, Score, Status, Task
from thinkaloud.tracking.rollout_writer import write_rollouts


def test_every_completion_is_a_row_with_its_score(tmp_path: Path) -> None:
    task = Task(id="t1", domain="math", source="s", question="2+2?", answer="4")
    good = Completion(text="four \ud800", token_ids=(5, 6, 2), logprobs=(-0.5, -1.0, -0.1))
    cut = Completion(text="f", token_ids=(5,), logprobs=(-0.5,), finish=Finish.LENGTH)
    scores = (
        Score(reward=1.0, status=Status.CORRECT, components={"format": 0.2, "correct": 0.8}),
        Score(reward=0.0, status=Status.TRUNCATED, reason="truncated"),
    )
    group = RolloutGroup(task=task, prompt_ids=(1,), completions=(good, cut), scores=scores)
    path = write_rollouts(tmp_path, 3, [group])
    assert path.name == "step-000003.parquet"
    first, second = pq.read_table(path).to_pylist()
    assert (first["step"], first["member"], first["task_id"], first["gold"]) == (3, 0, "t1", "4")
    assert (first["token_ids"], first["reward"], first["status"]) == ([5, 6, 2], 1.0, "correct")
    assert json.loads(first["components"]) == {"format": 0.2, "correct": 0.8}
    assert (second["member"], second["finish"], second["reason"]) == (1, "length", "truncated")
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(table: object, path: Path, **_: object) -> None:
        path.write_bytes(b"PAR1")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(OSError, match="No space left"):
        write_rollouts(tmp_path, 1, [])
    assert list(tmp_path.iterdir()) == []
