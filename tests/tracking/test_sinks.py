"""TensorBoard files as TensorBoard reads them, and the calls of trackers."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event

from thinkaloud.errors import UserError
from thinkaloud.storage.run_directory import RunDir, create
from thinkaloud.tracking.display import Display
from thinkaloud.tracking.recorder import Recorder
from thinkaloud.tracking.sinks import TRACKING, TensorBoard, Tracker, flat

ROW = {
    "stage": "grpo",
    "step": 3,
    "reward": 0.5,
    "kl": None,
    "bad": float("nan"),
    "flag": True,
    "domains": {"math": {"n": 4, "accuracy": 0.25}},
}


def events(folder: Path) -> list[Any]:
    """The records of an event file: length (8 bytes), its sum (4), the record, its sum (4)."""
    found = []
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        while content:
            size = int.from_bytes(content[:8], "little")
            found.append(Event.FromString(content[12 : 12 + size]))
            content = content[16 + size :]
    return found


def test_numbers_by_path() -> None:
    assert flat(ROW) == {"grpo/reward": 0.5, "grpo/domains/math/n": 4.0, "grpo/domains/math/accuracy": 0.25}


def test_tensorboard_has_every_domain_s_curve(tmp_path: Path) -> None:
    board = TensorBoard(tmp_path)
    board.resume("grpo", 0)
    assert not (tmp_path / "tensorboard").exists()
    board.row(ROW)
    _, event = events(tmp_path / "tensorboard")  # it is on the disk before it is closed
    assert event.step == 3
    assert {value.tag: value.simple_value for value in event.summary.value} == pytest.approx(flat(ROW))
    board.close()
    again = TensorBoard(tmp_path)
    again.resume("grpo", 2)
    again.close()
    marks = [event.step for event in events(tmp_path / "tensorboard") if event.HasField("session_log")]
    assert marks == [3]  # steps from 3 on are told anew


def test_tensorboard_begins_another_file_after_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board = TensorBoard(tmp_path)
    board.row(ROW)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(EventsWriter, "write_event", full)
        with pytest.raises(OSError, match="No space"):
            board.row({**ROW, "step": 4})
    board.row({**ROW, "step": 5})
    board.close()
    assert len(list((tmp_path / "tensorboard").iterdir())) == 2
    assert [event.step for event in events(tmp_path / "tensorboard") if event.HasField("summary")] == [3, 5]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """What a stand-in for wandb was told."""
    calls: list[tuple[str, Any]] = []
    library: Any = ModuleType("wandb")
    state = SimpleNamespace(step=0)

    def init(**options: Any) -> SimpleNamespace:
        calls.append(("init", options))
        return state

    def log(values: Any, step: int, commit: bool) -> None:
        assert commit
        assert step >= state.step  # wandb drops what is told of an earlier one
        state.step = step + 1
        calls.append(("log", (step, values)))

    library.init = init
    library.define_metric = lambda name, step_metric: calls.append(("axis", (name, step_metric)))
    library.log = log
    library.finish = lambda: calls.append(("finish", None))
    monkeypatch.setitem(sys.modules, "wandb", library)
    return calls


def test_a_tracker_is_told_of_every_row(told: list[tuple[str, Any]], tmp_path: Path) -> None:
    tracker = Tracker("wandb", tmp_path / "first", "tiny", {"seed": 0})
    tracker.row(ROW)
    tracker.close()
    (_, options), *rest = told
    identity = options.pop("id")
    assert options == {
        "project": "thinkaloud",
        "name": f"tiny-first-{identity}",
        "config": {"seed": 0},
        "resume": "allow",
    }
    assert rest == [
        ("axis", ("cold_start/*", "cold_start/step")),
        ("axis", ("grpo/*", "grpo/step")),
        ("log", (2, {**flat(ROW), "grpo/step": 3})),
        ("finish", None),
    ]


def test_a_resumed_run_is_the_same_run_of_the_tracker(told: list[tuple[str, Any]], tmp_path: Path) -> None:
    for _ in range(2):
        RunDir(tmp_path).write_json(TRACKING, Tracker("wandb", tmp_path, "tiny", {}).identity)
    assert len({options["id"] for call, options in told if call == "init"}) == 1
    (tmp_path / "other").mkdir()
    Tracker("wandb", tmp_path / "other", "tiny", {})
    assert len({options["id"] for call, options in told if call == "init"}) == 2


def test_a_session_without_a_network_goes_on_where_the_one_before_ended(
    told: list[tuple[str, Any]], tmp_path: Path
) -> None:
    tracker = Tracker("wandb", tmp_path / "run", "tiny", {})
    tracker.resume("cold_start", 3)
    tracker.resume("grpo", 4)
    for stage, step in (("grpo", 5), ("grpo", 6), ("grpo", 5)):  # the last one after a restart
        tracker.row({"stage": stage, "step": step, "loss": 1.0})
    tracker.close()
    assert [(value[0], value[1]["grpo/step"]) for call, value in told if call == "log"] == [(7, 5), (8, 6), (9, 5)]


def test_what_a_tracker_prints_is_no_result(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any) -> None:
    library: Any = ModuleType("trackio")
    library.init = lambda **options: print("* Trackio project initialized")
    library.finish = lambda: print("* Run finished")
    told: list[tuple[Any, int]] = []
    library.log = lambda values, step: told.append((values, step))
    monkeypatch.setitem(sys.modules, "trackio", library)
    tracker = Tracker("trackio", tmp_path, "tiny", {})
    tracker.row(ROW)
    tracker.close()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("*") == 2
    assert told == [({**flat(ROW), "grpo/step": 3}, 3)]


def test_a_tracker_that_is_absent_or_unknown_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trackio", None)
    with pytest.raises(UserError, match="needs trackio, found none; pip install trackio"):
        Tracker("trackio", Path("run"), "tiny", {})
    with pytest.raises(UserError, match="expected one of wandb, trackio"):
        Tracker("mlflow", Path("run"), "tiny", {})


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return create(tmp_path / "run", "", {"name": "x"})


def test_a_tracker_that_breaks_is_dropped_and_training_goes_on(run: RunDir) -> None:
    broken = SimpleNamespace(name="wandb", row=lambda row: 1 / 0, resume=lambda *_: None, close=lambda: None)
    output = io.StringIO()
    recorder = Recorder(run, Display(output), [broken])
    for step in (1, 2):
        recorder.step({"stage": "grpo", "step": step})
    warnings = [line for line in output.getvalue().splitlines() if line.startswith("warning:")]
    assert len(warnings) == 1
    assert "wandb" in warnings[0]
    assert "division by zero" in warnings[0]
    assert [row["step"] for row in run.rows()] == [1, 2]


def test_metrics_that_cannot_be_written_are_kept_until_they_can(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    said = io.StringIO()
    recorder = Recorder(run, Display(said))
    recorder.step({"stage": "grpo", "step": 1})
    real = RunDir.append

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "metrics.jsonl")

    with monkeypatch.context() as patch:
        patch.setattr(RunDir, "append", full)
        for step in (2, 3):
            recorder.step({"stage": "grpo", "step": step})
        with pytest.raises(OSError, match="No space"):
            recorder.flush_to_disk()
    assert RunDir.append is real
    assert [row["step"] for row in run.rows()] == [1]
    recorder.step({"stage": "grpo", "step": 4})
    assert [row["step"] for row in run.rows()] == [1, 2, 3, 4]
    assert said.getvalue().count("warning: cannot write metrics (No space left on device)") == 1
    assert said.getvalue().count("metrics can be written again") == 1
    states = [line for line in (run.path / "health.jsonl").read_text().splitlines() if '"disk metrics"' in line]
    assert ['"raised"' in line for line in states] == [True, False]


def test_the_remedy_is_that_of_the_trouble(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(*_: object) -> None:
        raise OSError(30, "Read-only file system", "metrics.jsonl")

    said = io.StringIO()
    monkeypatch.setattr(RunDir, "append", read_only)
    Recorder(run, Display(said)).step({"stage": "grpo", "step": 1})
    assert "cannot write metrics (Read-only file system); " in said.getvalue()
    assert said.getvalue().splitlines()[0].endswith("; make the disk writable again")


def test_trouble_is_said_once_until_it_is_over(run: RunDir) -> None:
    said = io.StringIO()
    recorder = Recorder(run, Display(said))
    for _ in range(2):
        for step in (2, 4):
            recorder.problem("checkpoints", f"cannot write {step}")
        for _ in range(2):
            recorder.recovered("checkpoints")
    assert said.getvalue() == 2 * "warning: cannot write 2\ncheckpoints can be written again\n"
    states = [json.loads(line)["state"] for line in (run.path / "health.jsonl").read_text().splitlines()]
    assert states == 2 * ["raised", "cleared"]


def test_a_clock_that_jumps_is_said_once(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    said = io.StringIO()
    recorder = Recorder(run, Display(said))
    import thinkaloud.tracking.recorder as module

    real = module.time.time
    monkeypatch.setattr(module.time, "time", lambda: real() + 3600)
    for step in (1, 2):
        recorder.step({"stage": "grpo", "step": step})
    assert said.getvalue().count("the system's clock jumped by +3600 s") == 1


def test_a_damaged_line_of_health_is_left_out(run: RunDir) -> None:
    kept = '{"stage": "grpo", "step": 2, "check": "kl"}'
    path = run.path / "health.jsonl"
    path.write_text(f'{{half\n[]\n{kept}\n{{"stage": "grpo", "step": 3, "check": "kl"}}\n{{"stage"')
    Recorder(run, Display(io.StringIO())).resume("grpo", 2)
    assert path.read_text() == kept + "\n"
