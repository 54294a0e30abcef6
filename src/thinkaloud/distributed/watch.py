"""Notices that another process of the run has ended, and ends this one with one line.

JAX ends a process with `abort()` and a C++ stack trace when its connection to process 0 closes; up to 0.12 its callback
for this cannot be set from Python (std::bad_cast). So SIGABRT is handled here in C, by a handler that does not return.
Other processes that end are found by JAX's own heartbeats: with `jax_enable_recoverability` they are reported, not
fatal. A process that fails leaves the reason in the key-value store.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from jax.errors import JaxRuntimeError

from thinkaloud.distributed.agreement import KEY, gone
from thinkaloud.errors import ProcessLost

LOOK_SECONDS = 1.0
NOTICE_SECONDS, UNWIND_SECONDS = 5.0, 60.0
"""How long the main thread may take to notice that a process was lost (it may be inside a computation), and then to
write what is pending."""
ENDED = f"{KEY}/ended"


class Watch:
    """Looks after the other processes in a thread.

    Args:
        client: Of JAX's coordination service.
        leave: Ends the process.

    Attributes:
        lost: Why the run cannot go on; empty while it can.
    """

    def __init__(self, client: Any, index: int, count: int, leave: Callable[[int], object] = os._exit) -> None:
        self.index, self._client, self._everyone, self._leave = index, client, list(range(count)), leave
        self._closing, self._found = threading.Event(), threading.Event()
        self._noticed = self._broken = False
        self.lost = ""
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raises ProcessLost if another process has ended."""
        if self.lost:
            self._noticed = True
            raise ProcessLost(self.lost)

    def wait(self, seconds: float) -> None:
        """Like `check`, but gives the heartbeats so much time."""
        self._found.wait(seconds)
        self.check()

    def end(self, reason: str) -> None:
        """Let the main thread end this process; do it here if it does not notice."""
        self.lost = self.lost or reason
        self._found.set()
        time.sleep(NOTICE_SECONDS)
        if self._noticed:
            time.sleep(UNWIND_SECONDS)
        if not self._closing.is_set():
            print(f"error: {self.lost}", file=sys.stderr, flush=True)
        self._leave(1)

    def close(self) -> None:
        """Disconnect; all processes call this at the same point. Process 0 waits for the others, which use it."""
        self._closing.set()
        if self.index:
            self._thread.join()  # Python must not exit while a thread is inside JAX
            self._client.shutdown()
        else:
            self._wait_for_others()
            self._thread.join()

    def fail(self, reason: str) -> None:
        """Tell the others why this process fails, and disconnect. The process must then end with `os._exit`."""
        self._closing.set()
        if self._broken:
            return
        with suppress(JaxRuntimeError):
            self._client.key_value_set(f"{ENDED}/{self.index}", reason, True)
            if self.index:
                self._client.shutdown()
            else:
                self._wait_for_others()

    def lose_primary(self) -> None:
        """JAX aborts: the connection to process 0 was lost, or this process was not heard. Does not return."""
        self._broken = True
        own = "process 0 was suspended for longer than --heartbeat, or JAX failed (TF_CPP_MIN_LOG_LEVEL=0 shows it)"
        self.end(gone(0) if self.index else own)

    def _wait_for_others(self) -> None:
        while len(self._live()) > 1:
            pass

    def _live(self) -> dict[int, int]:
        """The processes that are connected; waits until all of them ask."""
        live: dict[int, int] = self._client.get_live_nodes(self._everyone)
        return live

    def _run(self) -> None:
        while not self._closing.is_set():
            reason = self._look()
            if reason and not self._closing.is_set():
                self.end(reason)
            self._closing.wait(LOOK_SECONDS)

    def _look(self) -> str:
        try:
            live = self._live()
            ended = self._client.key_value_dir_get(ENDED)
        except JaxRuntimeError:
            self._broken = True
            return gone(0)
        missing = [index for index in self._everyone if index not in live]
        return next((reason for _, reason in sorted(ended)), gone(*missing) if missing else "")


def handle_abort(explain: Callable[[], None]) -> None:
    """Call `explain` instead of dying where C++ code calls `abort()`. It must not return."""
    handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(lambda number: explain())
    _handlers.append(handler)
    ctypes.CDLL(None).signal(signal.SIGABRT, handler)


def forget_abort() -> None:
    """Let `abort()` end the process as usual."""
    ctypes.CDLL(None).signal(ctypes.c_int(signal.SIGABRT), None)


_handlers: list[Any] = []
"""Kept alive: C has their addresses."""
