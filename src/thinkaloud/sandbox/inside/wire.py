"""The wire format: frames to and from a child, orders to a worker and its answers.

A frame is one kind byte, four length bytes, the payload. Of the kinds that a child sends the trainer believes only
what cannot be turned to profit: `READY` is written before any of the program's code runs; the others carry values that
are compared outside, or say how the program failed.
"""

from __future__ import annotations

import os
import struct

HEADER = struct.Struct(">cI")

# from the child
READY = b"R"  # the jail is shut; nothing of the program has run
VALUE = b"V"  # codec bytes: what a call returned
RAISED = b"X"  # exception type, NUL, message: what a call raised
UNFIT = b"U"  # text: what a call returned has no encoding
LOAD_FAILED = b"L"  # as RAISED, while the program itself was loaded
PASSED = b"P"  # from the checker: the test passed
FAILED = b"F"  # from the checker: text, why the test failed

# to the child, and from the checker to the solver by way of the trainer
JOB = b"J"  # codec bytes: what to do
CALL = b"C"  # codec bytes: (name, args, kwargs)

# between the trainer and a worker
ORDER = struct.Struct("=cidq")  # order, pid, cpu seconds, memory bytes
ANSWER = struct.Struct("=qid?")  # pid or -errno, wait status, cpu seconds used, whether the worker killed it
FORK_SOLVER, FORK_CHECKER, END, END_AND_TELL = b"S", b"K", b"E", b"T"


def write_frame(fd: int, kind: bytes, payload: bytes = b"") -> None:
    """Write one frame to a blocking descriptor."""
    data = memoryview(HEADER.pack(kind, len(payload)) + payload)
    while data:
        data = data[os.write(fd, data) :]


def read_exactly(fd: int, count: int) -> bytes:
    """Read `count` bytes from a blocking descriptor; EOFError when the other end has closed."""
    parts = []
    while count:
        part = os.read(fd, min(count, 1 << 16))
        if not part:
            raise EOFError
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def read_frame(fd: int) -> tuple[bytes, bytes]:
    """Read one frame: its kind and its payload. For the child, whose other end is the trainer, which it can trust."""
    kind, length = HEADER.unpack(read_exactly(fd, HEADER.size))
    return kind, read_exactly(fd, length)


def describe(error: BaseException) -> bytes:
    """Exception type, NUL, message, cut to 400 characters; the message may come from the program, so it may raise."""
    try:
        message = str(error)[:400]
    except BaseException:
        message = ""
    return f"{type(error).__name__[:100]}\0{message}".encode("utf-8", "backslashreplace")
