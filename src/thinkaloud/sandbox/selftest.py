"""The start-up self-test: the level of this machine follows from probes, not from version numbers."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from . import bubblewrap
from .inside import LAYERS
from .probes import PROBES, STRONG, Probe, Scene, scene
from .trial import try_program
from .verdict import Job, Level, Limits, Outcome
from .worker import Worker, WorkerFailed

ALL_LAYERS = (*LAYERS, "bubblewrap")

_HELLO = Job(code="def probe(): return 1", tests=("assert probe() == 1",))


@dataclass(frozen=True, slots=True)
class Containment:
    """How programs are contained on this machine.

    Attributes:
        level: The level that the probes showed.
        wrap: The bubblewrap command, or empty if it is missing or does not work.
        missing: The reason why a layer is not available, by layer.
        open: Probes that got through the full jail, with their output.
    """

    level: Level
    wrap: tuple[str, ...]
    missing: dict[str, str]
    open: dict[str, str]


def _try_probe(worker: Worker, probe: Probe, where: Scene) -> str:
    """The output of a probe; empty if it was blocked. A failure of the machine is retried once."""
    job = where.job(probe)
    said = ""
    for _ in range(2):
        verdict = try_program(worker, job, job.limits or Limits())
        if verdict.outcome is probe.blocked:
            return ""
        said = f"{verdict.outcome}: {verdict.detail}"
        if verdict.outcome not in (Outcome.INFRA_ERROR, Outcome.WALL_LIMIT):
            break
    return said


def run_probes(worker: Worker, probes: Sequence[Probe], where: Scene) -> dict[str, str]:
    """Run probes on a worker; returns the output by probe name, empty if it was blocked."""
    said: dict[str, str] = {}
    for probe in probes:
        try:
            said[probe.name] = _try_probe(worker, probe, where)
        except WorkerFailed as error:
            said[probe.name] = str(error)
    return said


def _working_wrap() -> tuple[tuple[str, ...], str]:
    """The bubblewrap command if programs run in it, or the reason why not."""
    wrap = bubblewrap.command()
    if not wrap:
        return (), "bwrap is not installed"
    try:
        worker = Worker((), wrap)
    except WorkerFailed as error:
        return (), f"bwrap does not work here: {error}"
    try:
        works = try_program(worker, _HELLO, Limits()).ok
    except WorkerFailed:
        works = False
    finally:
        worker.close()
    return (wrap, "") if works else ((), "bwrap does not work here")


def _measure() -> Containment:
    wrap, no_wrap = _working_wrap()
    missing = {"bubblewrap": no_wrap} if no_wrap else {}
    with scene() as where:
        worker = Worker(LAYERS, wrap)
        try:
            missing |= worker.missing
            said = run_probes(worker, [probe for probe in PROBES if probe.full], where)
        finally:
            worker.close()
        through = {name: text for name, text in said.items() if text}
        if through:
            return Containment(Level.NONE, wrap, missing, through)
        worker = Worker([layer for layer in LAYERS if layer != "seccomp"], wrap)
        try:
            second = run_probes(worker, [probe for probe in PROBES if probe.name in STRONG], where)
        finally:
            worker.close()
    level = Level.STANDARD if any(second.values()) else Level.STRONG
    return Containment(level, wrap, missing, {})


_lock = threading.Lock()
_measured: dict[int, Containment] = {}


def measure() -> Containment:
    """Run the probes in the full jail, once per process and user id.

    Raises:
        WorkerFailed: No worker starts.
    """
    with _lock:
        user = os.geteuid()
        if user not in _measured:
            _measured[user] = _measure()
        return _measured[user]
