"""Durations: parsed from `--deadline`, and written for people."""

from __future__ import annotations

import datetime
import re
import time

from thinkaloud.errors import UserError

_PARTS = re.compile(r"(?:(\d+(?:\.\d+)?)h)?\s*(?:(\d+(?:\.\d+)?)m(?:in)?)?\s*(?:(\d+(?:\.\d+)?)s)?")
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
LONGEST_SECONDS = 366 * 86400.0


def session_clock() -> float:
    """Seconds of a monotonic clock; where the system has one, it also counts while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def duration(seconds: float | int) -> str:
    """A duration for people, rounded to seconds or minutes.

    >>> duration(41.7), duration(185), duration(7_620)
    ('42 s', '3 min 05 s', '2 h 07 min')
    """
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def as_duration(seconds: float | int) -> str:
    """Whole seconds in the syntax of `--deadline`: `2h30m`, `45s`.

    >>> as_duration(9_000.7), as_duration(45), as_duration(3_605)
    ('2h30m', '45s', '1h5s')
    """
    minutes, rest = divmod(int(seconds), 60)
    parts = zip((*divmod(minutes, 60), rest), "hms", strict=True)
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0s"


def is_clock(text: str) -> bool:
    """Whether a deadline is a clock time such as `07:30`."""
    return _CLOCK.fullmatch(text.strip()) is not None


def ends_at(deadline: str | None) -> float | None:
    """When the time of a deadline is up, in seconds of `session_clock`; None without a deadline.

    Raises:
        UserError: See `seconds_until`.
    """
    return None if deadline is None else session_clock() + seconds_until(deadline, datetime.datetime.now())


def seconds_until(text: str, now: datetime.datetime) -> float:
    """Seconds in a duration (`9h`, `2h30m`, `45m`, `90s`), or until the next clock time such as `07:30`.

    Args:
        now: Local time without a time zone: local time follows summer time, a fixed offset does not.

    Raises:
        UserError: The text is neither, or the result is 0 or more than a year.
    """
    wanted = text.strip().lower()
    if clock := _CLOCK.fullmatch(wanted):
        then = now.replace(hour=int(clock[1]), minute=int(clock[2]), second=0, microsecond=0)
        if then <= now:
            then += datetime.timedelta(days=1)
        return then.timestamp() - now.timestamp()
    parts = _PARTS.fullmatch(wanted)
    hours, minutes, seconds = (float(part or 0) for part in parts.groups()) if parts else (0.0, 0.0, 0.0)
    total = hours * 3600 + minutes * 60 + seconds
    if not 0 < total <= LONGEST_SECONDS:
        raise UserError(
            f"{text!r} is not a deadline; expected a duration such as 9h, 2h30m, 45m or 90s, or a clock time such as "
            "07:30"
        )
    return total
