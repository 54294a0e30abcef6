"""Signals: the first requests a stop, a second Ctrl-C ends the process at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from thinkaloud.pipeline.stopping import Stop, StopRequested


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("which", "code"), [(signal.SIGTERM, 0), (signal.SIGHUP, 0), (signal.SIGINT, 130)], ids=lambda v: str(v)
)
def test_the_first_signal_asks_and_is_said_once(which: signal.Signals, code: int) -> None:
    output: list[str] = []
    before = signal.signal(which, signal.SIG_DFL)  # a shell may have told this process to ignore it
    try:
        with Stop(output.append) as stop:
            stop.check()
            os.kill(os.getpid(), which)
            wait_for(lambda: output)
            with pytest.raises(StopRequested, match=which.name) as stopped:
                stop.check()
        assert stopped.value.code == code
        assert len(output) == 1
        assert output[0].startswith(f"{which.name}: stopping")
        assert ("Ctrl-C again" in output[0]) == (which == signal.SIGINT)
        assert signal.getsignal(which) is signal.SIG_DFL
    finally:
        signal.signal(which, before)


def test_only_a_second_ctrl_c_leaves_at_once() -> None:
    left: list[int] = []
    stop = Stop(leave=left.append)
    for which in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        stop.receive(which)
    assert left == []
    stop.receive(signal.SIGINT)
    assert left == [130]
    assert stop.requested is signal.SIGINT


def test_what_the_process_was_told_to_ignore_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # nohup
    try:
        with Stop() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            time.sleep(0.05)
            stop.check()
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


BUSY = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from thinkaloud.pipeline.stopping import Stop
with Stop(lambda text: print(text, flush=True)):
    print("ready", flush=True)
    import hashlib
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)  # the main thread is away in C, as in a long computation
"""


def test_the_second_ctrl_c_does_not_wait_for_a_computation() -> None:
    process = subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        assert "Ctrl-C again stops at once" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130  # the computation takes many minutes
    finally:
        process.kill()
        process.communicate(timeout=30)
