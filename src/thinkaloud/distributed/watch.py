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
write what is pending. Also how long a process that fails waits until the others know."""
ENDED, KNOWS = f"{KEY}/ended", f"{KEY}/knows"
"""Keys by process: why it ended, and that it knows of the end of another."""


class Watch:
    """Looks after the other processes in a thread.

    Args:
        client: Of JAX's coordination service.
        heartbeat_seconds: A process that was not heard for so long is lost.
        leave: Ends the process.

    Attributes:
        lost: Why the run cannot go on; empty while it can.
    """

    def __init__(
        self,
        client: Any,
        index: int,
        count: int,
        heartbeat_seconds: float | int,
        leave: Callable[[int], object] = os._exit,
    ) -> None:
        self.index, self._client, self._everyone, self._leave = index, client, list(range(count)), leave
        self._heartbeat_seconds = heartbeat_seconds
        self._missing: list[int] = []
        self._leaving, self._stop, self._found, self._broken = (threading.Event() for _ in range(4))
        self._noticed = False
        self._code: int | None = None  # of a process that is done
        self.lost = ""
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raises ProcessLost if another process has ended."""
        if self.lost:
            self._noticed = True
            raise ProcessLost(self.lost)

    def wait(self) -> None:
        """Like `check`, but gives the heartbeats time to find a process that ended just now."""
        self._found.wait(2 * self._heartbeat_seconds)
        self.check()

    def close(self, code: int) -> None:
        """Before JAX is shut down, at the same point in all processes. Process 0 waits until the others have done that.

        Args:
            code: The exit code of a process other than process 0, if its connection breaks before it is closed.
        """
        self._leaving.set()
        self._stop.set()
        if self.index:
            self._code = code
        else:
            while len(self._live()) > 1:
                pass
        self._thread.join()  # Python must not exit while a thread is inside JAX

    def fail(self, reason: str) -> None:
        """Tell the others why this process fails, and wait until they know. It must then end by `os._exit`.

        Args:
            reason: Empty if the others know already.
        """
        self._leaving.set()
        if self._broken.is_set():
            return
        until = time.monotonic() + UNWIND_SECONDS
        with suppress(JaxRuntimeError):
            if reason:
                self._client.key_value_set(f"{ENDED}/{self.index}", reason, True)
            if self.index:  # without requests, which would never return once process 0 ends
                self._broken.wait(NOTICE_SECONDS)
            while not self.index and time.monotonic() < until and not self._all_know():
                time.sleep(0.1)

    def lose_primary(self) -> None:
        """JAX aborts: the connection to process 0 was lost, or this process was not heard. Does not return."""
        if self._code is not None:
            self._leave(self._code)
        self._broken.set()
        own = "process 0 was suspended for longer than --heartbeat, or JAX failed (TF_CPP_MIN_LOG_LEVEL=0 shows it)"
        self._end(gone(0) if self.index else own)

    def _end(self, reason: str) -> None:
        """Let the main thread end this process; do it here if it does not notice."""
        self.lost = self.lost or reason
        self._found.set()
        time.sleep(NOTICE_SECONDS)
        if self._noticed or self._leaving.is_set():
            time.sleep(UNWIND_SECONDS)
        else:
            print(f"error: {self.lost}", file=sys.stderr, flush=True)
        self._leave(1)

    def _live(self) -> dict[int, int]:
        """The processes that are connected; waits until all of them ask."""
        live: dict[int, int] = self._client.get_live_nodes(self._everyone)
        return live

    def _all_know(self) -> bool:
        know = {self.index} | {int(key.rpartition("/")[2]) for key, _ in self._client.key_value_dir_get(KNOWS)}
        return not set(self._everyone) - know - set(self._missing)

    def _run(self) -> None:
        """Look until the end. A process that fails goes on, because the others' looks wait for its own."""
        while not self._stop.is_set():
            reason = self._look()
            if reason or self._leaving.is_set():
                with suppress(JaxRuntimeError):
                    self._client.key_value_set(f"{KNOWS}/{self.index}", "", True)
            if reason and not self._leaving.is_set() and not self.lost:
                threading.Thread(target=self._end, args=(reason,), name="end", daemon=True).start()
            if self._broken.is_set():
                return
            self._stop.wait(LOOK_SECONDS)

    def _look(self) -> str:
        try:
            live = self._live()
            ended = self._client.key_value_dir_get(ENDED)
        except JaxRuntimeError:
            self._broken.set()
            return gone(0)
        self._missing = [index for index in self._everyone if index not in live]
        return next((reason for _, reason in sorted(ended)), gone(*self._missing) if self._missing else "")


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
