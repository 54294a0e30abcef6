"""A worker: a small interpreter with preloaded modules that forks one child per program and runs none itself.

It takes orders on its control socket: fork a child (the child's end of a channel comes along as a descriptor by
SCM_RIGHTS, so this process never holds a byte of a job that a later child could find), end a child, end a child and
tell how it died. End of file on the control socket ends the worker and all its children.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import time

from . import checker, preload, solver, wire
from .jail import CHANNEL, Jail
from .wire import ANSWER, END_AND_TELL, FORK_CHECKER, FORK_SOLVER, ORDER


def _child(jail: Jail, order: bytes, channel: int, cpu_seconds: float, memory_bytes: int) -> None:
    if channel != CHANNEL:
        os.dup2(channel, CHANNEL, inheritable=False)
    jail.shut_child(cpu_seconds, memory_bytes)
    wire.write_frame(CHANNEL, wire.READY)
    _, job = wire.read_frame(CHANNEL)
    (checker.check if order == FORK_CHECKER else solver.solve)(CHANNEL, job)


def _fork(jail: Jail, order: bytes, channel: int, cpu_seconds: float, memory_bytes: int) -> int:
    """Fork a child; its pid, or -errno."""
    try:
        pid = os.fork()
    except OSError as error:
        return -(error.errno or 1)
    if pid:
        return pid
    try:
        _child(jail, order, channel, cpu_seconds, memory_bytes)
        os._exit(0)
    finally:  # the worker's own code must never continue in a child
        os._exit(1)


_GRACE_SECONDS = 0.25


def _end(pid: int, grace_seconds: float = 0.0) -> tuple[int, float, bool]:
    """Reap a child, killing it if it still runs: wait status, processor time, whether it was killed here.

    Args:
        pid: the child.
        grace_seconds: how long a child whose channel is closed may take to finish dying. One that closed its channel
            and lives on must not look like one that the system killed.
    """
    deadline = time.monotonic() + grace_seconds
    while True:
        found, status, usage = os.wait4(pid, os.WNOHANG)
        if found or time.monotonic() >= deadline:
            break
        time.sleep(0.002)
    killed = not found
    if killed:
        os.kill(pid, signal.SIGKILL)
        _, status, usage = os.wait4(pid, 0)
    return status, usage.ru_utime + usage.ru_stime, killed


def _serve(control: socket.socket, jail: Jail) -> None:
    children: set[int] = set()
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, ORDER.size, 1)
        while message and len(message) < ORDER.size:
            rest, more, _, _ = socket.recv_fds(control, ORDER.size - len(message), 1)
            message, descriptors = message + rest if rest else b"", descriptors + more
        if not message:
            break
        order, pid, cpu_seconds, memory_bytes = ORDER.unpack(message)
        if order in (FORK_SOLVER, FORK_CHECKER):
            pid = _fork(jail, order, descriptors[0], cpu_seconds, memory_bytes)
            children.add(pid)
            control.sendall(ANSWER.pack(pid, 0, 0.0, False))
        elif pid in children:
            children.discard(pid)
            if order == END_AND_TELL:
                control.sendall(ANSWER.pack(pid, *_end(pid, _GRACE_SECONDS)))
            else:
                _end(pid)
        for descriptor in descriptors:
            os.close(descriptor)
    for pid in children:
        _end(pid)


def main(descriptor: str, layers: str) -> None:
    """Serve until the trainer disconnects.

    Args:
        descriptor: descriptor of the control socket (a connected AF_UNIX stream).
        layers: names from `inside.LAYERS`, with commas between them.
    """
    control = socket.socket(fileno=os.dup(int(descriptor)))  # a low number, whatever the trainer had open
    os.close(int(descriptor))
    preload.preload()
    os.environ.clear()
    jail = Jail([name for name in layers.split(",") if name])
    jail.shut_zygote()
    sys.argv = [""]
    gc.collect()
    gc.freeze()
    missing = "\n".join(f"{layer}\t{reason}" for layer, reason in jail.missing.items())
    wire.write_frame(control.fileno(), wire.READY, missing.encode())
    _serve(control, jail)
    os._exit(0)
