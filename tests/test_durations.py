from __future__ import annotations

import datetime

import pytest

from thinkaloud.durations import seconds_until
from thinkaloud.errors import UserError

EVENING = datetime.datetime(2026, 11, 23, 22, 30, 15)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("9h", 9 * 3600),
        ("2h30m", 9000),
        ("45m", 2700),
        ("45min", 2700),
        ("90s", 90),
        ("1.5h", 5400),
        (" 1h 5m ", 3900),
        ("07:30", 9 * 3600 - 15),
        ("7:30", 9 * 3600 - 15),
        ("22:30", 86400 - 15),
        ("23:00", 1800 - 15),
    ],
)
def test_durations_and_clock_times(text: str, seconds: float) -> None:
    assert seconds_until(text, EVENING) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "9", "h", "0h", "24:00", "7:5", "9 hours or so", "-1h", "1e3h", "9999999h"])
def test_what_is_neither(text: str) -> None:
    with pytest.raises(UserError, match="is not a deadline; expected a duration such as 9h"):
        seconds_until(text, EVENING)
