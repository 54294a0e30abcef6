"""The containment probes: attempts at forbidden actions (`inside/deeds.py`), and the targets they are aimed at.

Probes with `full` run in the full jail at start-up; each runs under single layers (`alone`) for `thinkaloud sandbox
check`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from .verdict import Job, Limits, Outcome


@dataclass(frozen=True, slots=True)
class Probe:
    """An action that must not be possible.

    Args:
        name: The action, a function of `inside/deeds.py`.
        alone: Layers, separated by spaces, under each of which it is also tried alone.
        full: Whether it is tried in the full jail. (Some query the kernel in ways that the full jail forbids.)
        blocked: The outcome that means it was blocked.
        cpu_seconds: The limit of processor time.
    """

    name: str
    alone: str
    full: bool = True
    blocked: Outcome = Outcome.PASS
    cpu_seconds: float = 10.0


PROBES = (
    Probe("read_file", "seccomp landlock bubblewrap"),
    Probe("read_private_file", "uid_drop"),
    Probe("list_directory", "seccomp landlock bubblewrap"),
    Probe("stat_file", "seccomp bubblewrap"),
    Probe("write_file", "seccomp landlock bubblewrap"),
    Probe("grow_file", "rlimits", full=False),
    Probe("own_memory", "seccomp landlock"),
    Probe("tcp_connect", "seccomp landlock bubblewrap"),
    Probe("unix_connect", "seccomp bubblewrap"),
    Probe("abstract_connect", "seccomp landlock bubblewrap"),
    Probe("signal_trainer", "seccomp landlock uid_drop bubblewrap"),
    Probe("signal_parent", "seccomp"),
    Probe("signal_all", "seccomp"),
    Probe("signal_group", "seccomp"),
    Probe("fork", "seccomp"),
    Probe("execute", "seccomp landlock"),
    Probe("thread", "seccomp"),
    Probe("set_limit", "seccomp"),
    Probe("raise_limit", "uid_drop", full=False),
    Probe("mount", "seccomp uid_drop"),
    Probe("shared_memory", "seccomp"),
    Probe("memory_file", "seccomp"),
    Probe("executable_memory", "seccomp"),
    Probe("trace", "seccomp"),
    Probe("see_environment", "process"),
    Probe("see_descriptors", "process"),
    Probe("gain_privileges", "process", full=False),
    Probe("be_dumped", "process", full=False),
    Probe("be_root", "uid_drop", full=False),
    Probe("memory_at_once", "rlimits"),
    Probe("memory_in_steps", "rlimits"),
    Probe("processor_time", "rlimits", blocked=Outcome.CPU_LIMIT, cpu_seconds=0.1),
)

STRONG = ("read_file", "list_directory", "write_file", "be_root")
"""Probes that must be blocked without seccomp for the level `strong`."""


@lru_cache(maxsize=1)
def _deeds() -> str:
    return (Path(__file__).parent / "inside" / "deeds.py").read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Scene:
    """The targets of the probes.

    Args:
        scratch: A folder that any user may use.
        port: A TCP port of 127.0.0.1 with a listener.
        abstract: The name of a UNIX socket without a file, with a listener.
    """

    scratch: Path
    port: int
    abstract: str

    def job(self, probe: Probe) -> Job:
        """The program that tries one action; it passes if the action was blocked (or ends as `probe.blocked`)."""
        scene = {"scratch": str(self.scratch), "port": self.port, "abstract": self.abstract, "trainer": os.getpid()}
        test = f"assert attempt({probe.name!r}, {scene!r}) == 'blocked'"
        limits = Limits(cpu_seconds=probe.cpu_seconds, wall_seconds=60.0)
        return Job(code=_deeds(), tests=(test,), limits=limits)


@contextlib.contextmanager
def scene() -> Iterator[Scene]:
    """Files that any user may read and write, one that only this user may, and listeners open to any user."""
    scratch = Path(tempfile.mkdtemp(prefix="thinkaloud-probe-"))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, scratch, ignore_errors=True)
        scratch.chmod(0o777)
        for name, mode in (("readable", 0o644), ("private", 0o600), ("writable", 0o666)):
            (scratch / name).write_text("secret", encoding="utf-8")
            (scratch / name).chmod(mode)
        port = 9
        with contextlib.suppress(OSError):  # a machine without a loopback device
            server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            port = server.getsockname()[1]
        abstract = "\0" + scratch.name if sys.platform == "linux" else str(scratch / "abstract")
        for address in (str(scratch / "socket"), abstract):
            with contextlib.suppress(OSError):  # the path of a deep temporary folder is too long for a socket
                listener = stack.enter_context(socket.socket(socket.AF_UNIX))
                listener.bind(address)
                listener.listen()
                (scratch / "socket").chmod(0o666)
        yield Scene(scratch, port, abstract)
