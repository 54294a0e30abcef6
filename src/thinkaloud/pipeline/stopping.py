"""Signals that stop a run: SIGTERM and SIGHUP (planned), SIGINT (Ctrl-C).

After the first signal the run continues to the next safe point and saves. A second Ctrl-C ends the process at once;
this corrupts nothing, because every file of a run is written atomically.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

PLANNED = (signal.SIGTERM, signal.SIGHUP)
_ALL = (*PLANNED, signal.SIGINT)


class StopRequested(Exception):
    """A signal was received, and the run is at a safe point.

    Attributes:
        signal: The signal.
    """

    def __init__(self, which: signal.Signals | int) -> None:
        super().__init__(which)
        self.signal = signal.Signals(which)

    def __str__(self) -> str:
        return f"stopped by {self.signal.name}"

    @property
    def code(self) -> int:
        """The exit code: 0 for a planned stop, 130 after Ctrl-C."""
        return 0 if self.signal in PLANNED else 130


class Stop:
    """A context manager that listens for the signals. Signals that the process ignores (nohup) stay ignored.

    A thread reads the signals from a pipe that the C-level handler writes to, because Python's handlers run only when
    the main thread returns from a computation, which may take minutes.

    Args:
        notify: Called with one line at the first signal.
        leave: Ends the process at a second Ctrl-C.
        agree: Maps the signal that this process received (or None) to the one that all processes of the run act on.
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
        """The signal that this or another process received, if any. All processes call this at the same points."""
        agreed = self._agree(self.requested)
        if agreed is not None and self.requested is None:
            self.requested = agreed
            self._notify(f"another process received {agreed.name}: stopping at the next safe point, then saving")
        return agreed

    def check(self) -> None:
        """Raise StopRequested if a signal was received; called at safe points."""
        if (asked := self.asked()) is not None:
            raise StopRequested(asked)

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            self._reader, self._writer = os.pipe()
            os.set_blocking(self._writer, False)
            self._wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
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
        os.close(self._writer)
        self._thread.join()
        os.close(self._reader)
        self._thread = None

    def _listen(self) -> None:
        while numbers := os.read(self._reader, 64):
            for number in numbers:
                if number in self._before:
                    self.receive(signal.Signals(number))

    def receive(self, which: signal.Signals) -> None:
        """Handle one signal."""
        self._interrupts += which == signal.SIGINT
        if self.requested is None:
            self.requested = which
            again = "; Ctrl-C again stops at once" if which == signal.SIGINT else ""
            self._notify(f"{which.name}: stopping at the next safe point, then saving{again}")
        elif self._interrupts > 1:
            if sys.stderr is not None and sys.stderr.isatty():
                os.write(2, b"\x1b[?25h\n")  # a live panel hides the cursor
            self._leave(130)


def _ignored(number: int, frame: FrameType | None) -> None:
    """Does nothing: a handler must be set for the signal to be written to the pipe."""
