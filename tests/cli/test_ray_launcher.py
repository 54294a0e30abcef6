"""`train --ray`: when a run is restarted, with a stand-in for Ray; and a real run of which a process is killed."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from support.cli import TINY, Run, one_device
from support.same_run import assert_same_run, rows
from thinkaloud.cli import ray_launcher
from thinkaloud.cli.ray_launcher import Cluster, End, Place, launch

KILLED, FAILED, DONE = RuntimeError("The actor died"), End(1), End(0, "")


class Stand(SimpleNamespace):
    """In place of the module `ray`: each member's training ends as `ends` says, an error being its death."""

    def __init__(self, ends: Sequence[Any], gpus: float = 0) -> None:
        self.ends, self.options, self.killed, self.signals = ends, list[dict[str, Any]](), list[int](), list[int]()
        error = type("RayTaskError", (Exception,), {})
        context = SimpleNamespace(get_node_id=lambda: "here")
        super().__init__(
            exceptions=SimpleNamespace(RayActorError=RuntimeError, RayTaskError=error),
            init=lambda **_: None,
            cluster_resources=lambda: {"CPU": 8.0, "GPU": gpus},
            get_runtime_context=lambda: context,
            wait=lambda calls, **_: ([call for call in calls if call[1] is not None], calls),
        )

    def remote(self, kind: Any) -> Any:
        return SimpleNamespace(options=self.member if kind is ray_launcher.Member else self.signaller)

    def signaller(self, **_: Any) -> Any:
        return SimpleNamespace(remote=lambda pid, which: self.signals.append(pid))

    def member(self, **options: Any) -> Any:
        index = len(self.options)
        self.options.append(options)
        methods = SimpleNamespace(
            open=SimpleNamespace(remote=lambda folder: (index, Place("here", 100 + index, "h:1"))),
            train=SimpleNamespace(remote=lambda arguments: (index, self.ends[index])),
            index=index,
        )
        return SimpleNamespace(remote=lambda: methods)

    def get(self, call: Any) -> Any:
        if isinstance(call, list):
            return [self.get(one) for one in call]
        if isinstance(call[1], Exception):
            raise call[1]
        return call[1]

    def kill(self, member: Any) -> None:
        self.killed.append(member.index)


def cluster(monkeypatch: pytest.MonkeyPatch, ray: Stand) -> Cluster:
    strategies = SimpleNamespace(NodeAffinitySchedulingStrategy=lambda node, soft: node)
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setitem(sys.modules, "ray.util.scheduling_strategies", strategies)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    return Cluster(len(ray.ends))


@pytest.mark.parametrize(
    ("ends", "codes"),
    [([DONE, DONE], [0, 0]), ([FAILED, KILLED], [1, 1]), ([End(2), DONE], [2, 0]), ([FAILED, None], [1, 1])],
    ids=["done", "killed", "a mistake", "one never ends"],
)
def test_how_each_member_ended(monkeypatch: pytest.MonkeyPatch, ends: list[Any], codes: list[int]) -> None:
    ray = Stand(ends, gpus=5)
    found = cluster(monkeypatch, ray)
    assert [place.pid for place in found.start()] == [100, 101]
    assert [end.code for end in found.train([["a"], ["b"]], lambda: False, 2.0)] == codes
    assert ray.killed == [0, 1]
    assert [option["num_gpus"] for option in ray.options] == [2, 2]
    assert [option["scheduling_strategy"] for option in ray.options] == ["here", "SPREAD"]


def test_a_signal_goes_to_process_0_once(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = Stand([None, None])
    found = cluster(monkeypatch, ray)
    found.start()
    asked = iter([True, True, True])

    def ask() -> bool:
        if next(asked, None) is None:
            ray.ends = [DONE, DONE]
            ray.wait = lambda calls, **_: (calls, [])
            ray.get = lambda call: DONE
        return True

    assert found.train([["a"], ["b"]], ask, 2.0) == [DONE, DONE]
    assert ray.signals == [100]


class Lives(Cluster):
    """In place of a cluster: what each life of the run ends with, and the arguments that it was given."""

    def __init__(self, *lives: list[End]) -> None:
        self.lives, self.given = list(lives), list[Sequence[Sequence[str]]]()

    def start(self) -> list[Place]:
        return [Place("n", 7, "10.0.0.1:5"), Place("m", 8, "10.0.0.2:5")]

    def train(self, arguments: Sequence[Sequence[str]], asked: Callable[[], bool], grace_seconds: float) -> list[End]:
        self.given.append(arguments)
        return self.lives.pop(0)


LOST = [End(1), End(1)]


@pytest.mark.parametrize(
    ("lives", "restarts", "code", "num_lives"),
    [
        ([[End(0, "result\n"), DONE]], 3, 0, 1),
        ([LOST, [End(0, "result\n"), DONE]], 3, 0, 2),
        ([LOST, LOST, LOST], 2, 1, 3),
        ([LOST], 0, 1, 1),
        ([[FAILED, End(2)]], 3, 2, 1),
        ([[End(130), FAILED]], 3, 130, 1),
    ],
    ids=["done", "one lost", "too often", "no restarts", "a mistake", "Ctrl-C in a process"],
)
def test_when_a_run_is_restarted(
    capsys: pytest.CaptureFixture[str], lives: list[list[End]], restarts: int, code: int, num_lives: int
) -> None:
    found, notes = Lives(*lives), list[str]()
    arguments: Any = lambda restarted: ["recipe", *["--resume"] * restarted]  # noqa: E731
    assert launch(found, arguments, 2, restarts, heartbeat_seconds=9, notify=notes.append) == code
    assert len(found.given) == num_lives
    for life, given in enumerate(found.given):
        for index, own in enumerate(given):
            assert own[: 1 + (life > 0)] == ["recipe", "--resume"][: 1 + (life > 0)]
            place = ["--coordinator", "10.0.0.1:5", "--num-processes", "2", "--heartbeat", "9", "--process-id"]
            assert own[1 + (life > 0) :] == [*place, str(index)]
    assert capsys.readouterr().out == ("result\n" if code == 0 else "")
    assert sum("restarts left" in note for note in notes) == num_lives - 1
    assert any("--ray-restarts" in note for note in notes) == (code == 1)
    assert "process 1: pid 8 at 10.0.0.2" in notes


def test_without_ray_it_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert "pip install 'thinkaloud[ray]'" in run("train", TINY, "--ray", "2").mistake
    assert "--num-processes" in run("train", TINY, "--ray", "2", "--num-processes", "2").mistake


SMALL = (
    *("data.domains=['math']", "rollout.max_new_tokens=8", "cold_start.max_steps=2", "cold_start.batch_size=2"),
    *("cold_start.probe_from=2", "cold_start.probe_tasks=2", "grpo.max_steps=6"),
    *("teacher.source='tiny'", "teacher.weight=1.0"),
    *("checkpoint.every_steps=2", "evaluate.tasks_per_domain=2", "evaluate.stages=['trained']", "evaluate.readings=[]"),
    *("checkpoint.validate_every=0", "curriculum.enabled=false", "grpo.refill_rounds=0", "grpo.self_checks=false"),
)
"""Short, with a gradient (the teacher's) although a random model earns no reward."""


def start(out: Path, *options: str) -> subprocess.Popen[str]:
    settings = [part for setting in SMALL for part in ("--set", setting)]
    program = [sys.executable, "-c", "from thinkaloud.cli import main; main()"]
    with (out.parent / f"{out.name}.log").open("w") as log:
        return subprocess.Popen(
            [*program, "train", TINY, "--out", str(out), *settings, "--json", *options],
            env=one_device(),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="ray is not installed: pip install 'thinkaloud[ray]'"
)
def test_a_killed_process_restarts_the_run_which_ends_with_the_same_numbers(tmp_path: Path) -> None:
    with start(tmp_path / "alone") as alone:
        assert alone.wait(600) == 0
    with start(tmp_path / "run", "--ray", "2", "--heartbeat", "5") as together:
        log, metrics = tmp_path / "run.log", tmp_path / "run" / "metrics.jsonl"
        try:
            while not metrics.exists() or '"stage": "grpo", "step": 3' not in metrics.read_text():
                assert together.poll() is None, log.read_text()
                time.sleep(0.2)
            pids = re.findall(r"^process 1: pid (\d+) at ", log.read_text(), re.MULTILINE)
            os.kill(int(pids[0]), signal.SIGKILL)
            printed, _ = together.communicate(timeout=600)
        finally:
            together.kill()
    said = log.read_text()
    assert together.returncode == 0, said
    assert json.loads(printed)["run"] == str(tmp_path / "run")
    assert "2 restarts left" in said
    assert "resumed from" in said
    assert all(row["grad_norm"] > 0 for row in rows(tmp_path / "run"))
    assert_same_run(tmp_path / "run", tmp_path / "alone")
