"""How long, or until when: what `--deadline` takes."""

from __future__ import annotations

import datetime
import re
import time

from thinkaloud.errors import UserError

_PARTS = re.compile(r"(?:(\d+(?:\.\d+)?)h)?\s*(?:(\d+(?:\.\d+)?)m(?:in)?)?\s*(?:(\d+(?:\.\d+)?)s)?")
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
LONGEST_SECONDS = 366 * 86400.0


def session_clock() -> float:
    """Seconds of a clock that never jumps, and that counts while the machine sleeps where there is such a one."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def seconds_until(text: str, now: datetime.datetime) -> float:
    """Seconds that `9h`, `2h30m`, `45m`, `90s` last, or until it is next `07:30` by the clock on the wall.

    Args:
        now: Local time, with its zone where the zone's change to or from summer time is to count.

    Raises:
        UserError: It is neither, or nothing, or more than a year.
    """
    wanted = text.strip().lower()
    if clock := _CLOCK.fullmatch(wanted):
        then = now.replace(hour=int(clock[1]), minute=int(clock[2]), second=0, microsecond=0)
        if then <= now:
            then += datetime.timedelta(days=1)
        return (then - now).total_seconds()
    parts = _PARTS.fullmatch(wanted)
    hours, minutes, seconds = (float(part or 0) for part in parts.groups()) if parts else (0.0, 0.0, 0.0)
    total = hours * 3600 + minutes * 60 + seconds
    if not 0 < total <= LONGEST_SECONDS:
        raise UserError(
            f"{text!r} is not a deadline; expected a duration such as 9h, 2h30m, 45m or 90s, or a clock time such as "
            "07:30"
        )
    return total
