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


def as_duration(seconds: float | int) -> str:
    """Whole seconds as `seconds_until` reads them: `2h30m`, `45s`.

    >>> as_duration(9_000.7), as_duration(45), as_duration(3_605)
    ('2h30m', '45s', '1h5s')
    """
    minutes, rest = divmod(int(seconds), 60)
    parts = zip((*divmod(minutes, 60), rest), "hms", strict=True)
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0s"


def is_clock(text: str) -> bool:
    """Whether a deadline is a time by the clock on the wall."""
    return _CLOCK.fullmatch(text.strip()) is not None


def seconds_until(text: str, now: datetime.datetime) -> float:
    """Seconds that `9h`, `2h30m`, `45m`, `90s` last, or until it is next `07:30` by the clock on the wall.

    Args:
        now: Local time, without a zone: the machine's own knows of summer time, a fixed offset does not.

    Raises:
        UserError: It is neither, or nothing, or more than a year.
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
