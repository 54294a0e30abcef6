"""When a failing endpoint is left alone: after several failures in a row, for periods that double.

After a pause one request probes the endpoint. Not thread-safe: the judge holds its lock.
"""

from __future__ import annotations

from thinkaloud.durations import session_clock
from thinkaloud.judge.failure import Failed

LONGEST_WAIT_SECONDS = 60.0
"""Between two tries; where the endpoint asks for a longer wait, the judge pauses instead."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 60.0, 1800.0


class Pauses:
    """Counts failures in a row.

    Args:
        pause_after: Failures in a row that begin a pause.
    """

    def __init__(self, pause_after: int) -> None:
        self._pause_after = pause_after
        self._failures = 0
        self._seconds = 0.0  # of the last pause; 0: none since the last success
        self._until = 0.0
        self._probing = False

    @property
    def waiting(self) -> bool:
        """True within a pause."""
        return session_clock() < self._until

    @property
    def closed(self) -> bool:
        """True where no request may be made now: within a pause, or while another request probes."""
        return self.waiting or (self._seconds > 0 and self._probing)

    def begin_request(self) -> None:
        """Call before each request, where `closed` is False."""
        self._probing = self._seconds > 0

    def succeeded(self) -> bool:
        """The endpoint works; True where that ends a pause."""
        ended = self._seconds > 0
        self._failures, self._seconds, self._probing = 0, 0.0, False
        return ended

    def failed(self, error: Failed, *, last: bool) -> float | None:
        """The endpoint failed; the length of the pause in seconds where that begins one.

        Args:
            last: There is no retry. A busy endpoint (429) counts only then.
        """
        self._failures += last or not error.busy
        asked_to_wait = error.wait_seconds or 0.0
        enough = self._probing or self._failures >= self._pause_after or asked_to_wait > LONGEST_WAIT_SECONDS
        if not enough or self.waiting:
            return None
        doubled = max(FIRST_PAUSE_SECONDS, 2 * self._seconds, asked_to_wait)
        self._seconds = min(LONGEST_PAUSE_SECONDS, doubled)
        self._until, self._probing = session_clock() + self._seconds, False
        return self._seconds
