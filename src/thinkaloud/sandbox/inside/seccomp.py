"""A system-call allowlist as a classic BPF program, for x86-64 and aarch64, installed through ctypes.

Calls that are not listed return EPERM: no open, socket, clone, fork, exec, kill, ioctl. A call of another architecture
(32-bit x86, x32) kills the process. `clone3` returns ENOSYS, so that the C library falls back to `clone`, which is
denied. Four calls are allowed with certain arguments only: `mmap` and `mprotect` without PROT_EXEC, `prlimit64`
that only reads, `rt_sigaction` for other signals than those of the CPU limit.

Numbers: Linux arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h. Instruction encoding:
Linux Documentation/networking/filter.rst and Documentation/userspace-api/seccomp_filter.rst.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import signal
import struct
import sys
from dataclasses import dataclass

_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

# name: (x86-64, aarch64); None where the architecture has no such call
ALLOWED: dict[str, tuple[int | None, int | None]] = {
    "read": (0, 63),
    "write": (1, 64),
    "readv": (19, 65),
    "writev": (20, 66),
    "close": (3, 57),
    "lseek": (8, 62),
    "fstat": (5, 80),
    "munmap": (11, 215),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "brk": (12, 214),
    "futex": (202, 98),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115),
    "nanosleep": (35, 101),
    "gettimeofday": (96, 169),
    "time": (201, None),
    "times": (100, 153),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "rt_sigpending": (127, 136),
    "sigaltstack": (131, 132),
    "restart_syscall": (219, 128),
    "getrandom": (318, 278),
    "exit": (60, 93),
    "exit_group": (231, 94),
    "getpid": (39, 172),
    "gettid": (186, 178),
    "getppid": (110, 173),
    "getuid": (102, 174),
    "geteuid": (107, 175),
    "getgid": (104, 176),
    "getegid": (108, 177),
    "sched_yield": (24, 124),
    "sched_getaffinity": (204, 123),
    "getcpu": (309, 168),
    "getrusage": (98, 165),
    "uname": (63, 160),
    "sysinfo": (99, 179),
}
BY_ARGUMENT: dict[str, tuple[int, int]] = {
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "prlimit64": (302, 261),
    "rt_sigaction": (13, 134),
}
CLONE3 = 435
X32_BIT = 0x40000000

RET_ALLOW = 0x7FFF0000
RET_KILL_PROCESS = 0x80000000
RET_ERRNO = 0x00050000

_LOAD, _JUMP_EQUAL, _JUMP_ABOVE, _JUMP_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data; each argument is 8 bytes, low word first
_PROT_EXEC = 4
_CPU_SIGNALS = (signal.SIGXCPU, signal.SIGPROF) if sys.platform != "win32" else ()

_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2


@dataclass(frozen=True, slots=True)
class Instruction:
    """One BPF instruction; `then` and `otherwise` name labels for the conditional jumps."""

    code: int
    value: int
    then: str = ""
    otherwise: str = ""
    label: str = ""


def _program(machine: str) -> list[Instruction]:
    column = 0 if machine == "x86_64" else 1
    low = [_ARGUMENTS + 8 * index for index in range(6)]
    code = [
        Instruction(_LOAD, _ARCH),
        Instruction(_JUMP_EQUAL, _AUDIT_ARCH[machine], otherwise="kill"),
        Instruction(_LOAD, _NUMBER),
    ]
    if machine == "x86_64":
        code.append(Instruction(_JUMP_ABOVE, X32_BIT, then="kill"))
    code += [Instruction(_JUMP_EQUAL, numbers[column], then=name) for name, numbers in BY_ARGUMENT.items()]
    code += [
        Instruction(_JUMP_EQUAL, number, then="allow")
        for number in (numbers[column] for numbers in ALLOWED.values())
        if number is not None
    ]
    code += [
        Instruction(_JUMP_EQUAL, CLONE3, then="absent"),
        Instruction(_RETURN, RET_ERRNO | errno.EPERM),
        Instruction(_RETURN, RET_ERRNO | errno.ENOSYS, label="absent"),
        Instruction(_RETURN, RET_KILL_PROCESS, label="kill"),
        Instruction(_LOAD, low[2], label="mmap"),
        Instruction(_JUMP_SET, _PROT_EXEC, then="refuse", otherwise="allow"),
        Instruction(_LOAD, low[2], label="mprotect"),
        Instruction(_JUMP_SET, _PROT_EXEC, then="refuse", otherwise="allow"),
        Instruction(_LOAD, low[2], label="prlimit64"),
        Instruction(_JUMP_EQUAL, 0, otherwise="refuse"),
        Instruction(_LOAD, low[2] + 4),
        Instruction(_JUMP_EQUAL, 0, then="allow", otherwise="refuse"),
        Instruction(_LOAD, low[0], label="rt_sigaction"),
    ]
    code += [Instruction(_JUMP_EQUAL, number, then="refuse") for number in _CPU_SIGNALS]
    code += [
        Instruction(_RETURN, RET_ALLOW, label="allow"),
        Instruction(_RETURN, RET_ERRNO | errno.EPERM, label="refuse"),
    ]
    return code


def assemble(machine: str) -> bytes:
    """The filter for one architecture, as an array of `struct sock_filter`.

    Args:
        machine: `x86_64` or `aarch64`.

    Raises:
        KeyError: another architecture.
    """
    code = _program(machine)
    places = {instruction.label: index for index, instruction in enumerate(code) if instruction.label}
    encoded = []
    for index, instruction in enumerate(code):
        then, otherwise = (
            places[label] - index - 1 if label else 0 for label in (instruction.then, instruction.otherwise)
        )
        encoded.append(struct.pack("=HBBI", instruction.code, then, otherwise, instruction.value))
    return b"".join(encoded)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


class Filter:
    """The filter of this machine, assembled once (in the zygote) and installed in every child.

    Raises:
        OSError: no filter for this system or architecture.
    """

    def __init__(self) -> None:
        machine = {"arm64": "aarch64", "amd64": "x86_64"}.get(platform.machine().lower(), platform.machine())
        if not sys.platform.startswith("linux"):
            raise OSError(f"seccomp is a Linux facility; this is {sys.platform}")
        if machine not in _AUDIT_ARCH or sys.maxsize < 2**32 or sys.byteorder != "little":
            raise OSError(f"no system-call table for {machine}")
        code = assemble(machine)
        self._code = ctypes.create_string_buffer(code, len(code))
        self._program = _Program(len(code) // 8, ctypes.addressof(self._code))
        self._prctl = ctypes.CDLL(None, use_errno=True).prctl
        self._arguments = (
            ctypes.c_int(_PR_SET_SECCOMP),
            ctypes.c_ulong(_SECCOMP_MODE_FILTER),
            ctypes.byref(self._program),
            ctypes.c_ulong(0),
            ctypes.c_ulong(0),
        )

    def install(self) -> None:
        """Restrict the calling process permanently. Needs no_new_privs.

        Raises:
            OSError: the kernel would not install it.
        """
        if self._prctl(*self._arguments) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_SECCOMP) failed")
