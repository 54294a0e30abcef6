"""One sandbox for all these tests, and the hostile programs' verdicts: as this user, and as an unprivileged one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hostile_programs import SANE, TESTS, escape_jobs, hack_jobs

from thinkaloud.sandbox import Sandbox, SandboxUnavailable

NOBODY = 65534


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    try:
        running = Sandbox(num_workers=2).start()
    except SandboxUnavailable as error:
        pytest.skip(f"this machine cannot contain a program: {error}")
    yield running
    running.close()


@pytest.fixture(scope="session")
def scratch() -> Iterator[Path]:
    """A folder that everybody may write to (pytest's own are private), with files that everybody may read."""
    with tempfile.TemporaryDirectory(prefix="thinkaloud-test-") as name:
        folder = Path(name)
        folder.chmod(0o777)
        (folder / "readable").write_text("secret")
        (folder / "readable_module.py").write_text("x = 1")
        yield folder


@dataclass(frozen=True)
class HostileRun:
    """What became of the hostile programs: name to outcome and detail."""

    uid: int
    level: str
    report: dict
    verdicts: dict[str, tuple[str, str]]


def interpreter_for_nobody() -> str | None:
    """An interpreter that an unprivileged user may execute: this one may lie in root's home."""
    for candidate in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        probe = [candidate, "-c", "import sys, ctypes; sys.exit(sys.version_info < (3, 11))"]
        try:
            finished = subprocess.run(probe, user=NOBODY, group=NOBODY, extra_groups=[], cwd="/", capture_output=True)
        except OSError:
            continue
        if finished.returncode == 0:
            return candidate
    return None


def _as_nobody(scratch: Path) -> HostileRun:
    if os.getuid() != 0:
        pytest.skip("only root can become another user; this user is unprivileged already")
    interpreter = interpreter_for_nobody()
    if interpreter is None:
        pytest.skip("no Python 3.11 or newer that an unprivileged user may execute")
    script = Path(__file__).with_name("run_as_nobody.py")
    command = [interpreter, "-B", str(script), str(scratch), "/"]
    finished = subprocess.run(
        command, user=NOBODY, group=NOBODY, extra_groups=[], cwd="/", capture_output=True, text=True, env={}
    )
    if "Permission denied" in finished.stderr and "can't open file" in finished.stderr:
        pytest.skip("an unprivileged user may not read this checkout")
    assert finished.returncode == 0, finished.stderr
    result = json.loads(finished.stdout)
    return HostileRun(result["uid"], result["level"], result["report"], result["verdicts"])


def _as_this_user(sandbox: Sandbox, scratch: Path) -> HostileRun:
    jobs = hack_jobs(TESTS) | escape_jobs(str(scratch), str(Path.home())) | {"sane": SANE}
    verdicts = sandbox.run_batch(list(jobs.values()))
    outcomes = {name: (str(one.outcome), one.detail) for name, one in zip(jobs, verdicts, strict=True)}
    return HostileRun(os.getuid(), str(sandbox.level), {}, outcomes)


@pytest.fixture(scope="session", params=["this user", "nobody"])
def hostile_run(request: pytest.FixtureRequest, scratch: Path) -> HostileRun:
    if request.param == "nobody":
        return _as_nobody(scratch)
    return _as_this_user(request.getfixturevalue("sandbox"), scratch)
