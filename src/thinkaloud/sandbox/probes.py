"""The containment probes: which deeds (`inside/deeds.py`) are tried where, and the scene that they aim at.

Those with `full` run in the full jail at start-up; each runs under single layers (`alone`) for `thinkaloud sandbox
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
    """One thing that must not be possible.

    Args:
        name: the deed, a function of `inside/deeds.py`.
        alone: layers, separated by spaces, under each of which it is also tried on its own.
        full: whether it is tried in the full jail. (Some ask the kernel what the full jail does not let them ask.)
        blocked: the outcome that means it was blocked.
        cpu_seconds: the limit of processor time.
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
"""What has to be blocked with seccomp left out for the level `strong`."""


@lru_cache(maxsize=1)
def _deeds() -> str:
    return (Path(__file__).parent / "inside" / "deeds.py").read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Scene:
    """What the probes aim at.

    Args:
        scratch: a folder that anybody may use.
        port: a TCP port of 127.0.0.1 that somebody listens on.
        abstract: the name of a UNIX socket without a file that somebody listens on.
    """

    scratch: Path
    port: int
    abstract: str

    def job(self, probe: Probe) -> Job:
        """The program that tries one deed; it passes where the deed was blocked (or ends as `probe.blocked`)."""
        scene = {"scratch": str(self.scratch), "port": self.port, "abstract": self.abstract, "trainer": os.getpid()}
        test = f"assert attempt({probe.name!r}, {scene!r}) == 'blocked'"
        limits = Limits(cpu_seconds=probe.cpu_seconds, wall_seconds=60.0)
        return Job(code=_deeds(), tests=(test,), limits=limits)


@contextlib.contextmanager
def scene() -> Iterator[Scene]:
    """Files that anybody may read and write, one that only this user may, listeners that anybody may reach."""
    scratch = Path(tempfile.mkdtemp(prefix="thinkaloud-probe-"))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, scratch, ignore_errors=True)
        scratch.chmod(0o777)
        for name, mode in (("readable", 0o644), ("private", 0o600), ("writable", 0o666)):
            (scratch / name).write_text("secret", encoding="utf-8")
            (scratch / name).chmod(mode)
        port = 9
        with contextlib.suppress(OSError):  # a machine without a loopback device: nobody listens anywhere
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
