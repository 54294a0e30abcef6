"""The records of the sandbox: requests (`Job`, `Limits`) and results (`Verdict`, `Outcome`, `Level`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """The outcome of one program. Only `PASS` earns reward; `INFRA_ERROR` says nothing about the program."""

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

    `STANDARD`: seccomp and resource limits block every probe. `STRONG`: the file system is also closed without seccomp
    (by Landlock or bubblewrap), and the program never runs as uid 0. `NONE`: some probe got through.
    """

    STRONG = "strong"
    STANDARD = "standard"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Resource limits of one program, tests included.

    Args:
        cpu_seconds: Processor time. This is the main limit.
        wall_seconds: Elapsed time; five times the processor time when None, because on a loaded machine a tight limit
            fails correct programs.
        memory_mb: Address space in MiB beyond that of the bare interpreter.
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
        code: The program, as the model wrote it (hostile).
        tests: Test statements, usually `assert f(1) == 2` (from the data set, trusted).
        setup: Code of the data set that runs after the program and before the tests (MBPP's `test_setup_code`).
        limits: Limits for this job; those of the batch when None.
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
    """The result of one program.

    Args:
        outcome: `PASS` if every test passed, else the reason for the first failure.
        passed: Number of tests that passed.
        total: Number of tests.
        detail: One line of explanation; empty on a pass.
        seconds: Elapsed time in the sandbox, without waiting for a free worker.
    """

    outcome: Outcome
    passed: int
    total: int
    detail: str
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether every test passed."""
        return self.outcome is Outcome.PASS


class SandboxUnavailable(RuntimeError):
    """This machine cannot contain a program, and the caller did not allow running it without containment."""
