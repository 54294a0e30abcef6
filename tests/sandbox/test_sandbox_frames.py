"""Frames from a hostile child: whatever bytes arrive, the trainer gets a frame or one of three named failures."""

from __future__ import annotations

import socket
import time

import pytest
from hostile_programs import TESTS
from hypothesis import given, settings
from hypothesis import strategies as st

from thinkaloud.sandbox import Limits, Outcome, Sandbox
from thinkaloud.sandbox.inside import codec, wire
from thinkaloud.sandbox.worker import BadFrame, Child, ChildGone, ChildSlow, Death, Worker


def _receive_all(data: bytes) -> tuple[list[tuple[bytes, bytes]], str]:
    """Every frame in the data, and what ended the reading."""
    ours, theirs = socket.socketpair()
    worker = object.__new__(Worker)  # nothing of the worker is used to read
    child = Child(worker, 1, ours)
    frames = []
    with ours, theirs:
        theirs.sendall(data)
        theirs.close()
        while True:
            try:
                frames.append(child.receive(time.monotonic() + 60.0))
            except (BadFrame, ChildGone, ChildSlow) as error:
                return frames, type(error).__name__


FRAME = st.tuples(st.binary(min_size=1, max_size=1), st.binary(max_size=300))


@given(st.lists(FRAME, max_size=8), st.binary(max_size=4))
@settings(max_examples=100, deadline=None)
def test_frames_arrive_whole_and_in_order(frames: list[tuple[bytes, bytes]], rest: bytes) -> None:
    data = b"".join(wire.HEADER.pack(kind, len(payload)) + payload for kind, payload in frames)
    assert _receive_all(data + rest) == (frames, "ChildGone")


@given(st.binary(max_size=2000))
@settings(max_examples=200, deadline=None)
def test_random_bytes_end_in_a_named_failure(data: bytes) -> None:
    frames, ended = _receive_all(data)
    assert ended in ("ChildGone", "BadFrame")
    assert sum(len(payload) + wire.HEADER.size for _, payload in frames) <= len(data)


def test_a_frame_that_is_too_long_is_refused_before_it_is_read() -> None:
    assert _receive_all(wire.HEADER.pack(b"V", codec.MAX_BYTES + 1)) == ([], "BadFrame")


def test_silence_ends_at_the_deadline() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        child = Child(object.__new__(Worker), 1, ours)
        with pytest.raises(ChildSlow):
            child.receive(time.monotonic() + 0.05)
        with pytest.raises(ChildSlow):
            child.receive(time.monotonic() - 1.0)


_KINDS = [wire.VALUE, wire.RAISED, wire.UNFIT, wire.LOAD_FAILED, wire.PASSED, wire.FAILED, wire.READY, wire.CALL, b"?"]


@given(st.lists(st.tuples(st.sampled_from(_KINDS), st.binary(max_size=40)), max_size=6), st.booleans())
@settings(max_examples=60, deadline=None)
def test_no_random_frames_are_paid(sandbox: Sandbox, frames: list[tuple[bytes, bytes]], checked: bool) -> None:
    data = b"".join(wire.HEADER.pack(kind, len(payload)) + payload for kind, payload in frames)
    code = f"import os\nos.write(3, {data!r})\ndef add(a, b): return None"
    tests = ["for k in range(3): assert add(k, 1) == k + 1"] if checked else list(TESTS)
    verdict = sandbox.run(code, tests, limits=Limits(cpu_seconds=20.0, wall_seconds=120.0))
    assert verdict.outcome not in (Outcome.PASS, Outcome.INFRA_ERROR), verdict.detail
    assert verdict.detail.isprintable()


def test_replies_of_one_program_are_limited_together(sandbox: Sandbox) -> None:
    code = "def f(n): return 'x' * 900_000"
    tests = [f"assert f({k}) == 'x' * 900_000 or len(f({k})) == 900_000" for k in range(10)]
    verdict = sandbox.run(code, tests, limits=Limits(cpu_seconds=20.0, wall_seconds=120.0))
    assert verdict.outcome is Outcome.BAD_REPLY
    assert "8000000 bytes of replies" in verdict.detail


def test_words_of_a_death() -> None:
    assert str(Death(0x0300, 0.0, False)) == "exit code 3"
    assert str(Death(11, 0.0, False)) == "SIGSEGV"
    assert Death(9, 1.5, True).signal == 9
