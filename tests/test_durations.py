from __future__ import annotations

import datetime
import time
from collections.abc import Iterator

import pytest

from thinkaloud.durations import as_duration, is_clock, seconds_until
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


@pytest.mark.parametrize("seconds", [1, 59, 60, 3600, 3661, 32399.9, 5 * 86400])
def test_what_is_left_is_read_back(seconds: float | int) -> None:
    assert not is_clock(as_duration(seconds))
    assert seconds_until(as_duration(seconds), EVENING) == int(seconds)


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("berlin")
def test_summer_time_begins_and_ends_in_the_night() -> None:
    assert seconds_until("07:30", datetime.datetime(2026, 3, 28, 22, 30)) == 8 * 3600
    assert seconds_until("07:30", datetime.datetime(2026, 10, 24, 22, 30)) == 10 * 3600
    assert seconds_until("9h", datetime.datetime(2026, 3, 28, 22, 30)) == 9 * 3600
