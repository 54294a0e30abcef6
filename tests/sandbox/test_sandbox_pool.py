"""The public API: verdicts, order, limits, setup, the checker, and what happens when a worker fails."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from thinkaloud.sandbox import Job, Level, Limits, Outcome, Sandbox, SandboxUnavailable, pool, trial
from thinkaloud.sandbox import worker as worker_module
from thinkaloud.sandbox.selftest import Containment
from thinkaloud.sandbox.worker import Worker, WorkerFailed

ADD = "def add(a, b): return a + b"
TESTS = ["assert add(1, 2) == 3", "assert add(-1, 1) == 0"]
PATIENT = Limits(cpu_seconds=20.0, wall_seconds=120.0)


def test_pass(sandbox: Sandbox) -> None:
    verdict = sandbox.run(ADD, TESTS)
    assert (verdict.outcome, verdict.passed, verdict.total, verdict.detail) == (Outcome.PASS, 2, 2, "")
    assert verdict.ok
    assert 0 < verdict.seconds < 60


def test_wrong_counts_the_tests_that_pass(sandbox: Sandbox) -> None:
    verdict = sandbox.run("def add(a, b): return abs(a) + b", TESTS)
    assert (verdict.outcome, verdict.passed, verdict.total) == (Outcome.WRONG, 1, 2)
    assert verdict.detail == "assert add(-1, 1) == 0: got 2"
    assert not verdict.ok


def test_the_first_failure_names_the_outcome(sandbox: Sandbox) -> None:
    code = "def f(n):\n    if n == 1: return 0\n    if n == 2: raise KeyError('no')\n    return n"
    verdict = sandbox.run(code, ["assert f(2) == 2", "assert f(1) == 1", "assert f(3) == 3"])
    assert (verdict.outcome, verdict.passed, verdict.total) == (Outcome.EXCEPTION, 1, 3)
    assert verdict.detail == "assert f(2) == 2: KeyError: 'no'"


def test_setup_runs_after_the_program_and_before_the_tests(sandbox: Sandbox) -> None:
    code = "class Node:\n    def __init__(self, value): self.value, self.left = value, None\n"
    code += "def depth(node): return 0 if node is None else 1 + depth(node.left)"
    tests = ["assert depth(root) == 2", "assert depth(None) == 0", "assert root.value == 1"]
    verdict = sandbox.run(code, tests, setup="root = Node(1)\nroot.left = Node(2)")
    assert verdict.ok, verdict


def test_a_solution_may_shadow_a_builtin(sandbox: Sandbox) -> None:
    code = "def sum(a, b):\n    total = 0\n    for k in range(1, min(a, b)):\n        if a % k == 0 and b % k == 0:\n"
    code += "            total += k\n    return total"
    assert sandbox.run(code, ["assert sum(10, 15) == 6", "assert sum(100, 150) == 93"]).ok


def test_a_program_that_shadows_the_tests_builtins_gains_nothing(sandbox: Sandbox) -> None:
    code = "def set(items): return 1\ndef sorted(items): return 1\ndef abs(number): return 0\ndef f(n): return []"
    for test in ("assert set(f(1)) == set([3])", "assert sorted(f(1)) == sorted([3])", "assert abs(len(f(1)) - 3) < 1"):
        assert sandbox.run(code, [test]).outcome is Outcome.WRONG


def test_main_guard_is_not_run(sandbox: Sandbox) -> None:
    assert sandbox.run(ADD + "\nif __name__ == '__main__':\n    print(add(*map(int, input().split())))", TESTS).ok


def test_standard_modules_can_be_imported(sandbox: Sandbox) -> None:
    code = """
import bisect, cmath, collections, copy, dataclasses, datetime, decimal, enum, fractions, functools, hashlib, heapq
import itertools, json, math, operator, random, re, statistics, string, sys, textwrap, typing, unicodedata
from typing import List, NamedTuple
@dataclasses.dataclass
class Point:
    x: "int"
def f(n: List[int]) -> "str":
    day = datetime.datetime.strptime("2024-02-29", "%Y-%m-%d").strftime("%A")
    return [day, hashlib.md5(b"x").hexdigest()[:4], decimal.Decimal("1.10"), fractions.Fraction(2, 4), Point(3).x]
"""
    expected = "['Thursday', '9dd4', Decimal('1.10'), Fraction(1, 2), 3]"
    verdict = sandbox.run(code, [f"assert f([1]) == {expected}"])
    assert verdict.ok, verdict


def test_random_programs_get_the_same_verdict_every_time(sandbox: Sandbox) -> None:
    code = "import random\ndef f(): return [random.random(), list({'a', 'b', 'c', 'd', 'e'})]"
    details = {sandbox.run(code, ["assert f() == 0"]).detail for _ in range(6)}
    assert len(details) == 1


def test_checker_tests(sandbox: Sandbox) -> None:
    sizes = ["assert size((1, 'a')) == sys.getsizeof((1, 'a'))"]  # as in MBPP 596
    assert sandbox.run("import sys\ndef size(t): return sys.getsizeof(t)", sizes).ok
    check = ["def check(candidate):\n    for k in range(50):\n        assert candidate(k) == k * k\ncheck(square)"]
    assert sandbox.run("def square(n): return n * n", check).ok
    failed = sandbox.run("def square(n): return n * n if n < 40 else 0", check)
    assert (failed.outcome, failed.passed) == (Outcome.WRONG, 0)
    raises = ["try:\n    f(-1)\nexcept ValueError as error:\n    assert str(error) == 'no'\nelse:\n    assert False"]
    assert sandbox.run("def f(n):\n    if n < 0: raise ValueError('no')", raises).ok
    assert not sandbox.run("def f(n): return n", raises).ok


def test_expected_values_may_be_computed(sandbox: Sandbox) -> None:
    for expression in (
        "'%d items' % 3",
        "'a' * 3 + 'b'",
        "[0] * 3",
        "str(3)",
        "dict(a=1)",
        "Counter('aab')",
        "1_000 // 7",
    ):
        verdict = sandbox.run(
            f"from collections import Counter\ndef f(): return {expression}", [f"assert f() == {expression}"]
        )
        assert verdict.ok, (expression, verdict)


def test_direct_and_checked_tests_in_one_task(sandbox: Sandbox) -> None:
    tests = ["assert f(1) == 2", "assert [f(k) for k in range(3)] == [1, 2, 3]", "assert f(5) == 6"]
    assert sandbox.run("def f(n): return n + 1", tests).passed == 3
    partly = sandbox.run("def f(n): return n + 1 if n else 0", tests)
    assert (partly.outcome, partly.passed, partly.total) == (Outcome.WRONG, 2, 3)


def test_tests_share_names_in_the_checker(sandbox: Sandbox) -> None:
    assert sandbox.run("def f(n): return n + 1", ["x = f(1)", "assert x == 2"]).ok


def test_arguments_are_copied_for_the_checker(sandbox: Sandbox) -> None:
    cheat = "def f(items):\n    items.clear()\n    return []"
    assert not sandbox.run(cheat, ["items = [3, 1]\nassert f(items) == sorted(items)"]).ok


@pytest.mark.parametrize(
    ("tests", "says"),
    [
        ([], "no tests"),
        (["assert add(1, 2) =="], "do not parse"),
        (["assert True"], "never call the program"),
        (["x = 1"], "never call the program"),
        (["def check(candidate):\n    pass\ncheck(add)"], "never call the program"),
    ],
)
def test_useless_tests_are_no_verdict(sandbox: Sandbox, tests: list[str], says: str) -> None:
    verdict = sandbox.run(ADD, tests)
    assert verdict.outcome is Outcome.INFRA_ERROR
    assert says in verdict.detail
    assert verdict.passed == 0


def test_batch_keeps_the_order(sandbox: Sandbox) -> None:
    jobs = [Job(code=f"def f(): return {k}", tests=["assert f() % 3 == 0", f"assert f() == {k}"]) for k in range(40)]
    verdicts = sandbox.run_batch(jobs)
    assert [verdict.passed for verdict in verdicts] == [2 if k % 3 == 0 else 1 for k in range(40)]
    assert sandbox.run_batch([]) == []


def test_limits_of_a_job_win_over_those_of_the_batch(sandbox: Sandbox) -> None:
    loop = "while True: pass"
    jobs = [Job(code=loop, tests=["assert f()"], limits=Limits(cpu_seconds=0.1, wall_seconds=60.0))]
    jobs.append(Job(code=loop, tests=["assert f()"]))
    first, second = sandbox.run_batch(jobs, Limits(cpu_seconds=0.3, wall_seconds=60.0))
    assert (first.outcome, second.outcome) == (Outcome.CPU_LIMIT, Outcome.CPU_LIMIT)
    assert ("0.1 s" in first.detail, "0.3 s" in second.detail) == (True, True)


def test_memory_limit(sandbox: Sandbox) -> None:
    code = "def f(): return len(bytearray(100 << 20))"
    assert sandbox.run(code, ["assert f() == 100 << 20"], limits=PATIENT).outcome is not Outcome.MEMORY
    small = Limits(cpu_seconds=20.0, wall_seconds=120.0, memory_mb=64)
    assert sandbox.run(code, ["assert f() == 1"], limits=small).outcome is Outcome.MEMORY


@pytest.mark.parametrize("wrong", [{"cpu_seconds": 0}, {"wall_seconds": -1.0}, {"memory_mb": 1}, {"cpu_seconds": 1e9}])
def test_bad_limits_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Limits(**wrong)


def test_wall_limit_is_five_times_the_processor_limit() -> None:
    assert Limits(cpu_seconds=3.0).wall == 15.0
    assert Limits(wall_seconds=1.0).wall == 1.0


def test_one_string_of_tests_is_refused() -> None:
    with pytest.raises(TypeError, match="sequence of test sources"):
        Job(code="", tests="assert f() == 1")


def test_a_sandbox_must_be_started() -> None:
    with pytest.raises(RuntimeError, match="with"):
        Sandbox().run(ADD, TESTS)
    with pytest.raises(ValueError, match="num_workers"):
        Sandbox(num_workers=0)


def test_many_threads_may_share_it(sandbox: Sandbox) -> None:
    outcomes: list[tuple[int, bool]] = []

    def work(k: int) -> None:
        outcomes.append((k, sandbox.run(f"def f(): return {k}", [f"assert f() == {k}"]).ok))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [(k, True) for k in range(12)]


@pytest.fixture
def unwrapped(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers without bubblewrap around them, so that process ids mean the same here and there."""
    assert sandbox._containment is not None
    containment = replace(sandbox._containment, wrap=())
    monkeypatch.setattr(pool, "measure", lambda: containment)


def _worker(sandbox: Sandbox) -> Worker:
    sandbox.run(ADD, TESTS)
    return next(worker for worker in sandbox._idle if worker is not None)


def test_a_worker_that_dies_is_replaced() -> None:
    with Sandbox(num_workers=1) as sandbox:
        worker = _worker(sandbox)
        os.killpg(worker.pid, signal.SIGKILL)
        assert sandbox.run(ADD, TESTS).ok  # the first attempt is an infra error, the retry starts a new worker
        assert _worker(sandbox).pid != worker.pid


@pytest.mark.usefixtures("unwrapped")
def test_a_worker_that_hangs_is_replaced() -> None:
    with Sandbox(num_workers=1, patience_seconds=20.0) as sandbox:
        worker = _worker(sandbox)
        worker._control.settimeout(0.5)  # this worker's patience only: its successor may start slowly
        os.kill(worker.pid, signal.SIGSTOP)
        assert sandbox.run(ADD, TESTS).ok
        assert _worker(sandbox).pid != worker.pid


def test_a_worker_that_dies_during_a_program_does_not_stop_the_batch() -> None:
    with Sandbox(num_workers=2) as sandbox:
        worker = _worker(sandbox)
        killer = threading.Timer(0.3, os.killpg, (worker.pid, signal.SIGKILL))
        killer.start()
        nap = "import time\ndef f():\n    time.sleep(0.1)\n    return 1"
        verdicts = sandbox.run_batch([Job(code=nap, tests=["assert f() == 1"], limits=PATIENT)] * 12)
        killer.join()
        assert [verdict.outcome for verdict in verdicts] == [Outcome.PASS] * 12


def test_infra_errors_are_retried_once_and_then_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = []

    def fail(worker: Worker, job: Job, limits: Limits) -> None:
        attempts.append(worker.pid)
        raise WorkerFailed("pulled the plug")

    with Sandbox(num_workers=1) as sandbox:
        monkeypatch.setattr(pool, "try_program", fail)
        verdict = sandbox.run(ADD, TESTS)
        assert (verdict.outcome, verdict.detail) == (Outcome.INFRA_ERROR, "pulled the plug")
        assert len(set(attempts)) == 2
        monkeypatch.undo()
        assert sandbox.run(ADD, TESTS).ok


@pytest.mark.usefixtures("unwrapped")
def test_a_program_killed_from_outside_is_an_infra_error(monkeypatch: pytest.MonkeyPatch) -> None:
    started = trial._Party.begin

    def begin(party: trial._Party, job: object) -> None:
        started(party, job)
        os.kill(party._child.pid, signal.SIGKILL)  # as the kernel's out-of-memory killer does

    with Sandbox(num_workers=1) as sandbox:
        monkeypatch.setattr(trial._Party, "begin", begin)
        verdict = sandbox.run("while True: pass", ["assert f()"], limits=PATIENT)
    assert verdict.outcome is Outcome.INFRA_ERROR
    assert "from outside" in verdict.detail


def test_close_ends_the_workers_and_waiting_callers() -> None:
    sandbox = Sandbox(num_workers=1).start()
    pid = _worker(sandbox).pid
    failures: list[str] = []

    def wait() -> None:
        try:
            sandbox.run_batch([Job(code="import time\ntime.sleep(1)", tests=["assert f()"])] * 3)
        except RuntimeError as error:
            failures.append(str(error))

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.2)
    sandbox.close()
    thread.join()
    assert len(failures) == 1
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def _uncontained(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = Containment(Level.NONE, (), {"seccomp": "no"}, {"read_file": "read_file was done"})
    monkeypatch.setattr(pool, "measure", lambda: nothing)
    monkeypatch.setattr(pool, "LAYERS", ("rlimits", "process"))


def test_level_none_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    _uncontained(monkeypatch)
    with pytest.raises(SandboxUnavailable, match="read_file"), Sandbox():
        pass


def test_level_none_runs_where_it_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    _uncontained(monkeypatch)
    with Sandbox(num_workers=1, allow_unsandboxed=True) as sandbox:
        assert sandbox.level is Level.NONE
        assert sandbox.run(ADD, TESTS).ok
        loop = sandbox.run("while True: pass", TESTS, limits=Limits(cpu_seconds=0.1, wall_seconds=60.0))
        assert loop.outcome is Outcome.CPU_LIMIT


def test_no_worker_at_all_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise WorkerFailed("no interpreter")

    monkeypatch.setattr(pool, "measure", fail)
    with pytest.raises(SandboxUnavailable, match="no interpreter"), Sandbox():
        pass


def test_the_trainer_is_never_forked_and_nothing_else_is_imported() -> None:
    source = str(Path(__file__).resolve().parents[2] / "src")
    script = f"""
import os, sys
sys.path.insert(0, {source!r})
forks = []
os.register_at_fork(before=lambda: forks.append(1))
from thinkaloud.sandbox import Sandbox, SandboxUnavailable
try:
    with Sandbox(num_workers=1) as sandbox:
        assert sandbox.run("def f(): return 1", ["assert f() == 1"]).ok
except SandboxUnavailable:
    pass
others = [name for name in sys.modules if name.startswith("thinkaloud.") and not name.startswith("thinkaloud.sandbox")]
import sysconfig
site = [name for name, module in sys.modules.items() if "site-packages" in str(getattr(module, "__file__", ""))]
print(forks, others, site)
"""
    finished = subprocess.run([sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True)
    assert finished.stdout.strip() == "[] [] []", finished.stderr


@pytest.mark.usefixtures("sandbox")
@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs /proc to see processes")
def test_when_the_trainer_is_killed_nothing_lives_on() -> None:
    source = str(Path(__file__).resolve().parents[2] / "src")
    script = f"""
import sys
sys.path.insert(0, {source!r})
from thinkaloud.sandbox import Job, Limits, Sandbox
sandbox = Sandbox(num_workers=2).start()
assert sandbox.run("def f(): return 1", ["assert f() == 1"]).ok
print([worker.pid for worker in sandbox._idle if worker], flush=True)
loop = Job(code="while True: pass", tests=["assert f()"], limits=Limits(cpu_seconds=600, wall_seconds=6000))
sandbox.run_batch([loop, loop])
"""
    trainer = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert trainer.stdout is not None
    (worker,) = json.loads(trainer.stdout.readline())
    time.sleep(0.5)  # the loops are under way, or about to be
    trainer.kill()
    trainer.wait()
    trainer.stdout.close()
    deadline = time.monotonic() + 60.0
    while any(_session(entry) == worker for entry in Path("/proc").iterdir() if entry.name.isdigit()):
        assert time.monotonic() < deadline, "the worker or a child of it lives on"
        time.sleep(0.05)


def _session(entry: Path) -> int:
    """The session of a process: a worker leads its own, and its children are in it; 0 for a zombie or none."""
    try:
        state, _, _, session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
    except (OSError, ValueError):
        return 0
    return 0 if state == "Z" else int(session)


def test_no_descriptors_left_is_an_infra_error(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OSError(24, "Too many open files")

    sandbox.run(ADD, TESTS)
    monkeypatch.setattr(worker_module.socket, "socketpair", fail)
    verdict = sandbox.run(ADD, TESTS)
    assert (verdict.outcome, verdict.detail) == (Outcome.INFRA_ERROR, "no channel: [Errno 24] Too many open files")
    monkeypatch.undo()
    assert sandbox.run(ADD, TESTS).ok
