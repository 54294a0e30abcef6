"""Forbidden actions, as functions that try them. Their source is run as a program, like that of a model.

Every action *would* succeed on an open machine (the file exists, the port has a listener) without doing harm: signal
number 0 only checks for permission, and the file system to mount does not exist. A blocked action raises.
"""

from __future__ import annotations

import _thread
import ctypes
import errno
import mmap
import os
import resource
import socket
import sys
from pathlib import Path
from typing import Any

SCENE: dict[str, Any] = {}
"""`scratch` (a folder), `port`, `abstract` (a socket name), `trainer` (a process id); set by `attempt`."""


def _c_call(name: str, *arguments: Any) -> int:
    result = getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments)
    if result == -1:
        raise OSError(ctypes.get_errno(), name)
    return int(result)


def _scratch(name: str) -> Path:
    return Path(SCENE["scratch"]) / name


def _connect(family: int, address: Any) -> None:
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.connect(address)


def read_file() -> None:
    _scratch("readable").read_bytes()


def read_private_file() -> None:
    _scratch("private").read_bytes()


def list_directory() -> None:
    os.listdir(SCENE["scratch"])


def stat_file() -> None:
    _scratch("readable").stat()


def write_file() -> None:
    with open(_scratch("written"), "wb"):
        pass


def grow_file() -> None:
    with open(_scratch("writable"), "ab", buffering=0) as file:
        file.write(b"x")


def own_memory() -> None:
    with open("/proc/self/mem", "rb"):
        pass


def tcp_connect() -> None:
    _connect(socket.AF_INET, ("127.0.0.1", SCENE["port"]))


def unix_connect() -> None:
    _connect(socket.AF_UNIX, str(_scratch("socket")))


def abstract_connect() -> None:
    _connect(socket.AF_UNIX, SCENE["abstract"])


def signal_trainer() -> None:
    os.kill(SCENE["trainer"], 0)


def signal_parent() -> None:
    os.kill(os.getppid(), 0)


def signal_all() -> None:
    os.kill(-1, 0)


def signal_group() -> None:
    os.killpg(0, 0)


def fork() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def execute() -> None:
    os.execv(sys.executable, [sys.executable, "-c", ""])


def thread() -> None:
    _thread.start_new_thread(lambda: None, ())


def set_limit() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, resource.getrlimit(resource.RLIMIT_CPU))


def raise_limit() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (4096, 4096))


def mount() -> None:
    try:
        _c_call("mount", b"none", b"/", b"no such file system", 0, None)
    except OSError as error:
        if error.errno != errno.ENODEV:  # ENODEV: permitted, but the file system does not exist
            raise


def shared_memory() -> None:
    identifier = _c_call("shmget", 0, 4096, 0o1600)
    _c_call("shmctl", identifier, 0, None)


def memory_file() -> None:
    os.close(os.memfd_create("probe"))


def executable_memory() -> None:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC).close()


def trace() -> None:
    _c_call("ptrace", 0, 0, None, None)


def see_environment() -> None:
    if not os.environ:
        raise PermissionError("empty")


def see_descriptors() -> None:
    for number in range(4, 256):
        try:
            os.read(number, 0)
        except OSError as error:
            if error.errno == errno.EBADF:
                continue
        return
    raise PermissionError("none")


def gain_privileges() -> None:
    if _c_call("prctl", 39, 0, 0, 0, 0) == 1:  # PR_GET_NO_NEW_PRIVS
        raise PermissionError("no new privileges")


def be_dumped() -> None:
    if _c_call("prctl", 3, 0, 0, 0, 0) != 1:  # PR_GET_DUMPABLE
        raise PermissionError("not dumpable")


def be_root() -> None:
    if os.getuid() != 0:
        raise PermissionError(f"uid {os.getuid()}")


def memory_at_once() -> None:
    mmap.mmap(-1, 2 << 30).close()


def memory_in_steps() -> None:
    parts = []
    for _ in range(256):
        parts.append(mmap.mmap(-1, 8 << 20))


def processor_time() -> None:
    while True:
        pass


def attempt(name: str, scene: dict[str, Any]) -> str:
    """Try one action: `blocked`, or a note that it succeeded."""
    SCENE.update(scene)
    try:
        globals()[name]()
    except (OSError, MemoryError, RuntimeError, ValueError, AttributeError):  # ValueError: setrlimit
        return "blocked"
    return f"{name} was done"
