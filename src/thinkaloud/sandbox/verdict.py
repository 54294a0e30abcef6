"""The records of the sandbox: what is asked (`Job`, `Limits`) and what is answered (`Verdict`, `Outcome`, `Level`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """What became of one program. Only `PASS` is worth a reward; `INFRA_ERROR` is no verdict on the program at all."""

    PASS = "pass"
    WRONG = "wrong"
    EXCEPTION = "exception"
    NO_REPLY = "no_reply"
    CPU_LIMIT = "cpu_limit"
    WALL_LIMIT = "wall_limit"
    MEMORY = "memory"
    BAD_REPLY = "bad_reply"
    INFRA_ERROR = "infra_error"


class Level(StrEnum):
    """How well this machine contains a program, measured by probes (`thinkaloud.sandbox.selftest`).

    `STANDARD`: every probe was blocked, by seccomp and resource limits. `STRONG`: and the file system stays shut with
    seccomp left out (Landlock or bubblewrap), and the program is never uid 0. `NONE`: some probe got through.
    """

    STRONG = "strong"
    STANDARD = "standard"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one program may use, its tests included.

    Args:
        cpu_seconds: processor time. This is the limit that is meant to bind.
        wall_seconds: elapsed time; five times the processor time when None, because on a loaded machine a tight wall
            limit fails good programs.
        memory_mb: address space in MiB beyond what the bare interpreter holds.
    """

    cpu_seconds: float | int = 2.0
    wall_seconds: float | int | None = None
    memory_mb: int = 256

    def __post_init__(self) -> None:
        if not 0 < self.cpu_seconds <= 3600:
            raise ValueError(f"cpu_seconds must be in (0, 3600], got {self.cpu_seconds}")
        if self.wall_seconds is not None and not 0 < self.wall_seconds <= 36000:
            raise ValueError(f"wall_seconds must be in (0, 36000], got {self.wall_seconds}")
        if not 16 <= self.memory_mb <= 1 << 20:
            raise ValueError(f"memory_mb must be in [16, 1048576], got {self.memory_mb}")

    @property
    def wall(self) -> float:
        """The elapsed time allowed, in seconds."""
        return float(5 * self.cpu_seconds if self.wall_seconds is None else self.wall_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One program and its tests, for `Sandbox.run_batch`.

    Args:
        code: the program, as the model wrote it (hostile).
        tests: test statements, most often `assert f(1) == 2` (from the data set, trusted not to be hostile).
        setup: code of the data set that runs after the program and before the tests (MBPP's `test_setup_code`).
        limits: limits for this job alone; the batch's limits when None.
    """

    code: str
    tests: Sequence[str]
    setup: str = ""
    limits: Limits | None = None

    def __post_init__(self) -> None:
        if isinstance(self.tests, str):
            raise TypeError("tests must be a sequence of test sources, not one string: write [test]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of one program.

    Args:
        outcome: `PASS` when every test passed, else what stopped the first test that did not.
        passed: number of tests that passed.
        total: number of tests.
        detail: one line for a human; empty on a pass.
        seconds: elapsed time in the sandbox, waiting for a free worker not counted.
    """

    outcome: Outcome
    passed: int
    total: int
    detail: str
    seconds: float

    @property
    def ok(self) -> bool:
        """True when every test passed."""
        return self.outcome is Outcome.PASS


class SandboxUnavailable(RuntimeError):
    """This machine cannot contain a program, and the caller did not allow running one uncontained."""
