"""Handles of the trainer for a worker process and its jailed children.

A worker is a new interpreter (`Popen`, which uses vfork here: no Python of the trainer runs in the new process, so it
is safe after JAX has started threads). It forks the children; the trainer never does.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .inside import codec, wire
from .inside.wire import ANSWER, END, END_AND_TELL, FORK_CHECKER, FORK_SOLVER, ORDER
from .verdict import Limits

_BOOT = "import sys; sys.path.insert(0, sys.argv[1]); from inside import zygote; zygote.main(*sys.argv[2:])"


_NEEDED = ("LD_LIBRARY_PATH", "PYTHONHOME")
"""Variables that an interpreter may need to start; the worker clears its environment before it forks."""


class WorkerFailed(Exception):
    """The worker process failed; this says nothing about the program."""


class ChildGone(Exception):
    """The child closed its channel: it ended, or was ended by a limit."""


class ChildSlow(Exception):
    """The child did not answer before the deadline."""


class BadFrame(Exception):
    """The child wrote something that is not a frame."""


def _socketpair() -> tuple[socket.socket, socket.socket]:
    try:
        return socket.socketpair()
    except OSError as error:  # usually because this process has no descriptors left
        raise WorkerFailed(f"no channel: {error}") from None


@dataclass(frozen=True, slots=True)
class Death:
    """How a child ended: wait status, processor seconds used, and whether its worker had to kill it."""

    status: int
    cpu_seconds: float
    killed_by_worker: bool

    @property
    def signal(self) -> int:
        """The signal that ended it, or 0."""
        return os.WTERMSIG(self.status) if os.WIFSIGNALED(self.status) else 0

    def __str__(self) -> str:
        if not self.signal:
            return f"exit code {os.waitstatus_to_exitcode(self.status)}"
        names = {member.value: member.name for member in signal.Signals}
        return names.get(self.signal, f"signal {self.signal}")


class Child:
    """A jailed child: sends and receives frames, each with a deadline (`time.monotonic` seconds)."""

    def __init__(self, worker: Worker, pid: int, channel: socket.socket) -> None:
        self.worker = worker
        self.pid = pid
        self._channel = channel
        self._buffer = bytearray()
        self._ended = False

    def send(self, kind: bytes, payload: bytes, deadline: float) -> None:
        """Send one frame. If the child has already ended, reading its answer reports that.

        Raises:
            ChildSlow: It did not read in time.
        """
        self._set_timeout(deadline)
        try:
            self._channel.sendall(wire.HEADER.pack(kind, len(payload)) + payload)
        except TimeoutError:
            raise ChildSlow from None
        except OSError:
            return

    def receive(self, deadline: float) -> tuple[bytes, bytes]:
        """The next frame: kind and payload.

        Raises:
            ChildGone, ChildSlow, BadFrame: There is none.
        """
        size = wire.HEADER.size
        self._fill(size, deadline)
        kind, length = wire.HEADER.unpack_from(self._buffer)
        if length > codec.MAX_BYTES:
            raise BadFrame(f"a frame of {length} bytes")
        self._fill(size + length, deadline)
        payload = bytes(self._buffer[size : size + length])
        del self._buffer[: size + length]
        return kind, payload

    def _set_timeout(self, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise ChildSlow
        self._channel.settimeout(left)

    def _fill(self, count: int, deadline: float) -> None:
        while len(self._buffer) < count:
            self._set_timeout(deadline)
            try:
                part = self._channel.recv(1 << 16)
            except TimeoutError:
                raise ChildSlow from None
            except OSError:
                raise ChildGone from None
            if not part:
                raise ChildGone
            self._buffer += part

    def end(self) -> None:
        """Kill it, unless it has ended. Raises WorkerFailed."""
        self._channel.close()
        if not self._ended:
            self._ended = True
            self.worker.order(END, self.pid)

    def end_and_tell(self) -> Death:
        """Kill it if it still runs, and return how it ended. Call once. Raises WorkerFailed."""
        self._ended = True
        self.worker.order(END_AND_TELL, self.pid)
        pid, death = self.worker.answer()
        if pid != self.pid:
            raise WorkerFailed(f"the worker answered for process {pid}, not {self.pid}")
        return death


class Worker:
    """One worker process.

    Args:
        layers: Names from `inside.LAYERS`.
        wrap: Command that wraps the interpreter (bubblewrap), or empty.
        patience_seconds: Time limit to start, fork or reap.

    Attributes:
        missing: Layers that are not available, with the reason.

    Raises:
        WorkerFailed: It did not start.
    """

    def __init__(self, layers: Sequence[str], wrap: Sequence[str] = (), patience_seconds: float = 60.0) -> None:
        self.missing: Mapping[str, str] = {}
        self.patience_seconds = patience_seconds
        if sys.platform == "win32" or not sys.executable:
            raise WorkerFailed("the sandbox needs a POSIX system and a Python interpreter of its own")
        self._control, theirs = _socketpair()
        self._control.settimeout(patience_seconds)
        descriptor = str(theirs.fileno())
        # the spec's -I is -E -s -P; without -E, PYTHONHASHSEED makes the order of a set the same in every run
        flags = ("-s", "-P", "-S", "-B")
        command = [*wrap, sys.executable, *flags, "-c", _BOOT, str(Path(__file__).parent), descriptor, ",".join(layers)]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={"PYTHONHASHSEED": "0"} | {name: os.environ[name] for name in _NEEDED if name in os.environ},
                cwd="/",
                close_fds=True,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        except OSError as error:
            self._control.close()
            raise WorkerFailed(f"cannot start {command[0]}: {error}") from error
        finally:
            theirs.close()
        try:
            self._await_ready()
        except BaseException:
            self.close()
            raise

    def _await_ready(self) -> None:
        hello = Child(self, self._process.pid, self._control)
        try:
            kind, missing = hello.receive(time.monotonic() + self.patience_seconds)
        except (ChildGone, ChildSlow, BadFrame) as error:
            raise WorkerFailed(f"the worker did not start ({type(error).__name__})") from None
        if kind != wire.READY:
            raise WorkerFailed(f"the worker greeted with {kind!r}")
        self.missing = dict(line.split("\t", 1) for line in missing.decode().splitlines())
        self._control.settimeout(self.patience_seconds)

    @property
    def pid(self) -> int:
        """Process id of the worker, or of bubblewrap around it."""
        return self._process.pid

    def order(self, order: bytes, pid: int, limits: Limits | None = None, descriptors: Sequence[int] = ()) -> None:
        """Send one order. Raises WorkerFailed when the worker is gone."""
        cpu_seconds, memory_bytes = (limits.cpu_seconds, limits.memory_mb << 20) if limits else (0.0, 0)
        message = ORDER.pack(order, pid, cpu_seconds, memory_bytes)
        try:
            sent = socket.send_fds(self._control, [message], descriptors)
            if sent < len(message):
                self._control.sendall(message[sent:])
        except OSError as error:
            raise WorkerFailed(f"the worker takes no orders: {error}") from None

    def answer(self) -> tuple[int, Death]:
        """The answer to the last order: pid (or -errno), and how that child died. Raises WorkerFailed."""
        message = b""
        try:
            while len(message) < ANSWER.size:
                part = self._control.recv(ANSWER.size - len(message))
                if not part:
                    raise WorkerFailed("the worker ended")
                message += part
        except OSError as error:
            raise WorkerFailed(f"the worker does not answer: {error}") from None
        pid, *death = ANSWER.unpack(message)
        return pid, Death(*death)

    def fork(self, limits: Limits, *, checker: bool = False) -> Child:
        """Have the worker fork a child, a solver or a checker. Raises WorkerFailed."""
        ours, theirs = _socketpair()
        try:
            self.order(FORK_CHECKER if checker else FORK_SOLVER, 0, limits, [theirs.fileno()])
            pid, _ = self.answer()
            if pid <= 0:
                raise WorkerFailed(f"the worker cannot fork: {os.strerror(-pid)}")
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return Child(self, pid, ours)

    def close(self) -> None:
        """End the worker and its children, and reap it."""
        self._control.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)  # its session, bubblewrap and children included
        self._process.kill()
        self._process.wait()
