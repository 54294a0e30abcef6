"""A trace of three steps contains our names, and profiling changes no number."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from support.scorers import grouped
from thinkaloud.config import Recipe
from thinkaloud.model.lora import Adapter, init_adapter
from thinkaloud.prompt.contract import PromptContract
from thinkaloud.records import Completion, Score, Status, Task
from thinkaloud.rollout.policy import Policy
from thinkaloud.tracking.profiling import Profiler
from thinkaloud.train.grpo_step import GrpoTrainer


@grouped
def paid_by_place(tasks: Sequence[Task], completions: Sequence[Completion]) -> list[Score]:
    return [Score(reward=(i % 4) / 4, status=Status.GRADED) for i in range(len(completions))]


@pytest.fixture
def trainer(policy: Policy, make_recipe: Callable[..., Recipe]) -> GrpoTrainer:
    return GrpoTrainer(policy, {}, make_recipe(), paid_by_place)


def take(
    trainer: GrpoTrainer, tasks: list[Task], profiler: Profiler, num_steps: int
) -> tuple[Adapter, list[dict[str, Any]]]:
    adapter: Any = init_adapter(trainer.policy.model.config, 2, ("q", "v"), 3)
    state, rows = trainer.start(adapter), []
    for step in range(num_steps):
        with profiler.step(step + 1):
            result = trainer.step(state, tasks)
        state = result.state
        rows.append(result.metrics)
    profiler.close()
    return state.adapter, rows


def spans(path: Path) -> list[dict[str, Any]]:
    trace = json.loads(gzip.decompress(path.read_bytes()))
    return [event for event in trace["traceEvents"] if event.get("ph") == "X"]


def test_three_steps_after_the_first_are_traced(trainer: GrpoTrainer, tasks: list[Task], tmp_path: Path) -> None:
    notes: list[str] = []
    profiled, rows = take(trainer, tasks[:1], Profiler(tmp_path, notes.append), 5)
    plain, expected = take(trainer, tasks[:1], Profiler(None, notes.append), 5)
    (path,) = tmp_path.rglob("perfetto_trace.json.gz")
    assert [str(tmp_path) in note for note in notes] == [True]
    events = sorted(spans(path), key=lambda event: float(event["ts"]))
    steps = [event for event in events if event["name"] == "step"]
    assert [event["args"]["step_num"] for event in steps] == ["2", "3", "4"]
    for name in ("rollout", "score", "update"):
        parts = [event for event in events if event["name"] == name]
        assert len(parts) == 3
        for part, step in zip(parts, steps, strict=True):
            assert step["ts"] <= part["ts"]
            assert part["ts"] + part["dur"] <= step["ts"] + step["dur"]
    assert list(tmp_path.rglob("*.xplane.pb"))
    jax.tree.map(np.testing.assert_array_equal, profiled, plain)
    assert [{**row, "seconds": None} for row in rows] == [{**row, "seconds": None} for row in expected]
    assert rows[-1]["grad_norm"] > 0


def test_what_there_is_of_a_short_run_is_written(trainer: GrpoTrainer, tasks: list[Task], tmp_path: Path) -> None:
    take(trainer, tasks[:1], Profiler(tmp_path), 2)
    assert len(list(tmp_path.rglob("perfetto_trace.json.gz"))) == 1


def test_a_failed_trace_costs_nothing_else(trainer: GrpoTrainer, tasks: list[Task], tmp_path: Path) -> None:
    (tmp_path / "profile").write_text("no folder")
    notes: list[str] = []
    take(trainer, tasks[:1], Profiler(tmp_path / "profile", notes.append), 2)
    assert [note.startswith("warning: cannot") and "a profile" in note for note in notes] == [True]
    take(trainer, tasks[:1], Profiler(tmp_path / "another", notes.append), 2)
    assert list((tmp_path / "another").rglob("*.xplane.pb"))


def test_idle_share_is_scoring_of_the_whole_step(trainer: GrpoTrainer, tasks: list[Task]) -> None:
    seconds = take(trainer, tasks[:1], Profiler(None), 1)[1][0]["seconds"]
    assert seconds["idle_share"] == pytest.approx(seconds["score"] / seconds["total"])


def test_a_step_encodes_a_prompt_once(
    trainer: GrpoTrainer, policy: Policy, tasks: list[Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[str] = []
    real = PromptContract.encode

    def encode(self: PromptContract, question: str) -> list[int]:
        encoded.append(question)
        return real(self, question)

    monkeypatch.setattr(PromptContract, "encode", encode)
    take(GrpoTrainer(policy, {}, trainer.recipe, paid_by_place), tasks[:1], Profiler(None), 1)
    assert encoded == [tasks[0].question]
