"""The system-call filter, run instruction by instruction for both architectures (a BPF machine in twenty lines)."""

from __future__ import annotations

import errno
import signal
import struct

import pytest

from thinkaloud.sandbox.inside import seccomp

ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
EPERM = seccomp.RET_ERRNO | errno.EPERM
ENOSYS = seccomp.RET_ERRNO | errno.ENOSYS

# from the kernel's tables: what must be refused, (x86-64, aarch64)
FORBIDDEN = {
    "open": (2, None),
    "openat": (257, 56),
    "openat2": (437, 437),
    "stat": (4, None),
    "newfstatat": (262, 79),
    "statx": (332, 291),
    "getdents64": (217, 61),
    "unlinkat": (263, 35),
    "mkdirat": (258, 34),
    "readlinkat": (267, 78),
    "socket": (41, 198),
    "connect": (42, 203),
    "socketpair": (53, 199),
    "sendmsg": (46, 211),
    "recvmsg": (47, 212),
    "clone": (56, 220),
    "fork": (57, None),
    "vfork": (58, None),
    "execve": (59, 221),
    "execveat": (322, 281),
    "kill": (62, 129),
    "tkill": (200, 130),
    "tgkill": (234, 131),
    "pidfd_send_signal": (424, 424),
    "ioctl": (16, 29),
    "fcntl": (72, 25),
    "dup": (32, 23),
    "prctl": (157, 167),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "mount": (165, 40),
    "unshare": (272, 97),
    "setns": (308, 268),
    "chroot": (161, 51),
    "bpf": (321, 280),
    "io_uring_setup": (425, 425),
    "userfaultfd": (323, 282),
    "memfd_create": (319, 279),
    "shmget": (29, 194),
    "setuid": (105, 146),
    "setrlimit": (160, 164),
    "setitimer": (38, 103),
    "personality": (135, 92),
    "keyctl": (250, 219),
    "perf_event_open": (298, 241),
    "pkey_mprotect": (329, 288),
    "seccomp": (317, 277),
    "landlock_create_ruleset": (444, 444),
}


def run(machine: str, number: int, arguments: tuple[int, ...] = (), arch: int | None = None) -> int:
    """What the filter answers to one system call."""
    padded = (*arguments, *[0] * (6 - len(arguments)))
    data = struct.pack("<IIQ6Q", number, ARCH[machine] if arch is None else arch, 0, *padded)
    program = list(struct.iter_unpack("<HBBI", seccomp.assemble(machine)))
    accumulator = position = 0
    while True:
        code, then, otherwise, value = program[position]
        position += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, value)
        elif code == 0x06:
            return value
        else:
            taken = {0x15: accumulator == value, 0x35: accumulator >= value, 0x45: bool(accumulator & value)}[code]
            position += then if taken else otherwise


MACHINES = ("x86_64", "aarch64")


@pytest.mark.parametrize("machine", MACHINES)
def test_allowlist(machine: str) -> None:
    column = MACHINES.index(machine)
    for name, numbers in seccomp.ALLOWED.items():
        if numbers[column] is not None:
            assert run(machine, numbers[column]) == seccomp.RET_ALLOW, name


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("name", FORBIDDEN)
def test_forbidden(machine: str, name: str) -> None:
    number = FORBIDDEN[name][MACHINES.index(machine)]
    if number is not None:
        assert run(machine, number) == EPERM


@pytest.mark.parametrize("machine", MACHINES)
def test_everything_not_listed_is_refused(machine: str) -> None:
    column = MACHINES.index(machine)
    listed = {numbers[column] for numbers in (*seccomp.ALLOWED.values(), *seccomp.BY_ARGUMENT.values())}
    answers = {number: run(machine, number) for number in range(600) if number not in listed}
    assert answers.pop(435) == ENOSYS  # clone3: the C library falls back to clone
    assert set(answers.values()) == {EPERM}
    assert len(listed) < 50


@pytest.mark.parametrize("machine", MACHINES)
def test_other_architectures_are_killed(machine: str) -> None:
    others = [0x40000003, 0xC000003E, 0xC00000B7, 0x40000028, 0]  # i386, x86-64, aarch64, arm, none
    for arch in others:
        if arch != ARCH[machine]:
            assert run(machine, 1, arch=arch) == seccomp.RET_KILL_PROCESS


def test_x32_calls_are_killed() -> None:
    for number in (0, 1, 59, 520, 545):
        assert run("x86_64", 0x40000000 | number) == seccomp.RET_KILL_PROCESS


@pytest.mark.parametrize("machine", MACHINES)
def test_calls_judged_by_their_arguments(machine: str) -> None:
    column = MACHINES.index(machine)
    mmap, mprotect, prlimit, sigaction = (
        seccomp.BY_ARGUMENT[name][column] for name in ("mmap", "mprotect", "prlimit64", "rt_sigaction")
    )
    for call in (mmap, mprotect):
        assert run(machine, call, (0, 4096, 3)) == seccomp.RET_ALLOW  # read and write
        assert run(machine, call, (0, 4096, 4)) == EPERM
        assert run(machine, call, (0, 4096, 7)) == EPERM
    assert run(machine, prlimit, (0, 7, 0, 0x1000)) == seccomp.RET_ALLOW  # reading a limit
    assert run(machine, prlimit, (0, 7, 0x1000, 0)) == EPERM
    assert run(machine, prlimit, (0, 7, 1 << 32, 0)) == EPERM  # a pointer whose low word is zero
    assert run(machine, sigaction, (signal.SIGINT,)) == seccomp.RET_ALLOW
    assert run(machine, sigaction, (signal.SIGPROF,)) == EPERM
    assert run(machine, sigaction, (signal.SIGXCPU,)) == EPERM


def test_no_table_for_other_machines() -> None:
    with pytest.raises(KeyError):
        seccomp.assemble("riscv64")
