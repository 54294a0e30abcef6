"""Signals that ask a run to stop: SIGTERM and SIGHUP (planned), SIGINT (Ctrl-C).

The first one lets the run come to a place where nothing is lost. A second Ctrl-C ends the process at once, whatever it
is at: every file of a run is written whole or not at all, so nothing is corrupted.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

PLANNED = (signal.SIGTERM, signal.SIGHUP)
_ALL = (*PLANNED, signal.SIGINT)


class StopRequested(Exception):
    """A signal asked the run to stop, and it is at a place where nothing is lost.

    Attributes:
        signal: Which one.
    """

    def __init__(self, which: signal.Signals) -> None:
        super().__init__(f"stopped by {which.name}")
        self.signal = which

    def __reduce__(self) -> tuple[type[StopRequested], tuple[signal.Signals]]:
        return StopRequested, (self.signal,)

    @property
    def code(self) -> int:
        """The exit code: 0 for a planned stop, 130 after Ctrl-C."""
        return 0 if self.signal in PLANNED else 130


class Stop:
    """Listens while it is entered; signals that the process was told to ignore (nohup) stay ignored.

    A thread reads them from a socket that the C-level handler writes to, because Python's own handlers wait until the
    main thread is back from a computation, which may take minutes.

    Args:
        say: Called once, with one line, when the first signal comes.
        leave: How a second Ctrl-C ends the process.
        agree: What this process was asked to what all processes of the run do: the same in all, None where none of
            them was asked.
    """

    def __init__(
        self,
        notify: Callable[[str], None] = lambda text: None,
        leave: Callable[[int], object] = os._exit,
        agree: Callable[[signal.Signals | None], signal.Signals | None] = lambda asked: asked,
    ) -> None:
        self._notify, self._leave, self._agree = notify, leave, agree
        self.requested: signal.Signals | None = None
        self._interrupts = 0
        self._before: dict[signal.Signals, Any] = {}
        self._wakeup = -1
        self._thread: threading.Thread | None = None

    def asked(self) -> signal.Signals | None:
        """The signal that came, to this process or another; all of them ask at the same places."""
        agreed = self._agree(self.requested)
        if agreed is not None and self.requested is None:
            self.requested = agreed
            self._notify(f"{agreed.name} came to another process: stopping where nothing is lost, then saving")
        return agreed

    def check(self) -> None:
        """Raises StopRequested if a signal came; called where nothing would be lost."""
        if (asked := self.asked()) is not None:
            raise StopRequested(asked)

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            self._reader, self._writer = socket.socketpair()
            self._writer.setblocking(False)
            self._wakeup = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
            for which in _ALL:
                if signal.getsignal(which) is not signal.SIG_IGN:
                    self._before[which] = signal.signal(which, _ignored)
            self._thread = threading.Thread(target=self._listen, name="signals", daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread is None:
            return
        for which, handler in self._before.items():
            signal.signal(which, handler)
        signal.set_wakeup_fd(self._wakeup)
        self._writer.close()
        self._thread.join()
        self._reader.close()
        self._thread = None

    def _listen(self) -> None:
        while numbers := self._reader.recv(64):
            for number in numbers:
                if number in self._before:
                    self.receive(signal.Signals(number))

    def receive(self, which: signal.Signals) -> None:
        """One signal has come."""
        self._interrupts += which == signal.SIGINT
        if self.requested is None:
            self.requested = which
            again = "; Ctrl-C again stops at once" if which == signal.SIGINT else ""
            self._notify(f"{which.name}: stopping where nothing is lost, then saving{again}")
        elif self._interrupts > 1:
            if sys.stderr is not None and sys.stderr.isatty():
                os.write(2, b"\x1b[?25h\n")  # a live panel hides the cursor
            self._leave(130)


def _ignored(number: int, frame: FrameType | None) -> None:
    """Signals are read from the socket; a handler must stand for them to be written there."""
