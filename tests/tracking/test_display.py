from __future__ import annotations

import io
import math
import sys
from typing import Any

import numpy as np
import pytest

from thinkaloud.durations import duration
from thinkaloud.tracking.display import Display
from thinkaloud.tracking.whole_run import Ahead

GRPO_ROW = {
    "stage": "grpo",
    "step": 1,
    "loss": 0.0123,
    "reward": 0.456,
    "format_rate": 0.75,
    "tokens": {"prompt": 100, "completion": 3000},
    "seconds": {"rollout": 9.0, "update": 2.0, "total": 12.0},
    "domains": {"math": {"format_rate": 1.0}, "logic": {"format_rate": 0.5}},
}


class Clock:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def plain() -> tuple[Display, io.StringIO, Clock]:
    stream, clock = io.StringIO(), Clock()
    return Display(stream, clock), stream, clock


def test_a_step_is_one_plain_line() -> None:
    display, stream, clock = plain()
    display.stage("grpo", 5)
    clock.now += 12.0
    display.step(GRPO_ROW)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "GRPO: 5 steps"
    assert lines[1:] == [
        "GRPO 1/5 | reward 0.456 | format 75% | by domain math 100% logic 50% | 250 tokens/s | 48 s left"
    ]


def test_time_left_is_the_median_of_recent_steps() -> None:
    display, _, clock = plain()
    display.stage("grpo", 10, done=2)
    assert display.seconds_left is None
    for seconds in (90.0, 10.0, 12.0):  # the first compiles
        clock.now += seconds
        display.step({})
    assert display.seconds_left == 12.0 * 5
    display.stage("evaluate", 0)
    display.step({})
    assert display.seconds_left is None


def test_the_time_left_in_the_run_counts_the_stages_ahead() -> None:
    display, stream, clock = plain()
    display.expect([Ahead("evaluate:base", 100), Ahead("grpo", 1000), Ahead("evaluate:trained", 100)])
    display.stage("evaluate:base", 0)
    clock.now += 30.0
    display.progress(50, 100, "tasks answered")  # 50 tokens in 30 s
    display.stage("grpo", 10)
    clock.now += 20.0
    display.step({})
    assert stream.getvalue().splitlines() == [
        "evaluation",
        "  tasks answered 50/100, 11 min 30 s left in the run",
        "GRPO: 10 steps",
        "GRPO 1/10 | 3 min 00 s left, 3 min 30 s in the run",  # the base's evaluation took 0.3 s a token
    ]


def test_the_time_left_in_the_run_ends_at_its_deadline() -> None:
    display, stream, clock = plain()
    begun = clock.now
    display.expect([Ahead("evaluate:base", 100), Ahead("grpo", 1000)], lambda: begun + 600.0 - clock.now)
    display.stage("evaluate:base", 0)
    clock.now += 30.0
    display.progress(50, 100, "tasks answered")
    assert display.run_seconds_left == 570.0, "630 s by the speed of the evaluation"
    display.stage("grpo", 10)
    clock.now += 600.0
    display.step({})
    assert display.run_seconds_left == 0.0
    assert stream.getvalue().splitlines()[1] == "  tasks answered 50/100, 9 min 30 s left in the run"


def test_old_step_times_are_forgotten() -> None:
    display, _, clock = plain()
    display.stage("grpo", 100)
    for seconds in [50.0] * 30 + [2.0] * 20:
        clock.now += seconds
        display.step({})
    assert display.seconds_left == 2.0 * 50


def test_plain_progress_is_rare_but_an_evaluations_end_is_shown() -> None:
    display, stream, clock = plain()
    display.stage("evaluate", 0)
    for done in range(1, 101):
        clock.now += 0.5
        display.progress(done, 100, "tasks decoded")
    shown = [f"  tasks decoded {done}/100" for done in (40, 80, 100)]
    assert stream.getvalue().splitlines() == ["evaluation", *shown]


def test_a_quick_step_prints_its_line_only() -> None:
    display, stream, clock = plain()
    display.stage("grpo", 2)
    for done in range(1, 9):
        clock.now += 2.0
        display.progress(done, 8, "completions sampled")
    display.step({})
    assert stream.getvalue().splitlines() == ["GRPO: 2 steps", "GRPO 1/2 | 16 s left"]


@pytest.mark.parametrize(
    "metrics",
    [
        {},
        {"reward": None, "loss": math.nan, "format_rate": math.inf, "tokens": None, "seconds": "soon", "domains": None},
        {"reward": "high", "loss": [1], "domains": {"math": None, 3: {"format_rate": "x"}}, "seconds": {"total": 0}},
        {"reward": np.float32(0.5), "loss": 10**400, "domains": [1], "tokens": 5, "seconds": {"total": math.nan}},
        {"domains": {"math": {"format_rate": 7.0}}, "reward": True, "format_rate": -1.0},
    ],
)
@pytest.mark.parametrize("screen", [False, True])
def test_odd_metrics_never_raise(metrics: dict[str, Any], screen: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = Screen() if screen else io.StringIO()
    with Display(stream) as display:
        display.stage("grpo", 3)
        display.step(metrics)
        display.progress(5, 0, "odd")
    assert "GRPO 1/3" in stream.getvalue()
    assert "nan" not in stream.getvalue()


def test_numpy_numbers_are_shown_and_text_is_not() -> None:
    display, stream, _ = plain()
    display.stage("cold_start", 2)
    display.step({"loss": np.float32(0.25), "reward": "high", "tokens": 400, "seconds": {"total": 2}})
    assert "cold start 1/2 | loss 0.250 | 200 tokens/s" in stream.getvalue()
    assert "high" not in stream.getvalue()


def test_the_panel_shows_stage_reward_and_domains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream, clock = Screen(), Clock()
    with Display(stream, clock) as display:
        display.machine(lambda: "H100 x 1, memory 12.0 GB of 80.0 GB")
        display.stage("grpo", 4)
        clock.now += 30.0
        display.step(GRPO_ROW)
        display.progress(3, 8, "completions scored")
        display.note("checkpoint [bold]saved")
        shown = stream.getvalue()
    for text in ("step 1/4", "reward 0.456", "math", "format 100%", "1 min 30 s left", "250 tokens/s"):
        assert text in shown
    assert "completions scored 3/8" in shown
    assert "H100 x 1, memory 12.0 GB of 80.0 GB" in shown
    assert "checkpoint [bold]saved" in shown, "what others wrote is no markup"
    assert "GRPO 1/4 | reward" in stream.getvalue().replace(shown, ""), "the last step stays when the panel goes"


def test_nothing_goes_to_stdout(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TERM", "xterm")
    with Display(Screen()) as display:
        display.stage("grpo", 1)
        print("the result", file=sys.stdout)
        display.step(GRPO_ROW)
    with Display() as display:
        display.note("a note")
    captured = capsys.readouterr()
    assert captured.out == "the result\n"
    assert captured.err == "a note\n"


def test_a_dumb_terminal_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    stream = Screen()
    with Display(stream) as display:
        display.stage("grpo", 1)
        display.step(GRPO_ROW)
    assert "\x1b" not in stream.getvalue()


def test_control_characters_do_not_reach_the_terminal() -> None:
    display, stream, _ = plain()
    display.note("evil \x1b[2J\r\n\ud800 end")
    assert stream.getvalue() == "evil  [2J    end\n"


def test_a_terminal_that_goes_away_silences_the_display() -> None:
    display, stream, _ = plain()
    display.stage("grpo", 2)
    stream.close()
    display.step(GRPO_ROW)
    display.note("unheard")
    display.close()

    class Broken(io.StringIO):
        def write(self, text: str, /) -> int:
            raise BrokenPipeError

    with Display(Broken()) as broken:
        broken.note("unheard")


def test_closing_twice_is_harmless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    display = Display(Screen())
    display.close()
    display.close()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0 s"), (41.6, "42 s"), (59.7, "1 min 00 s"), (185, "3 min 05 s"), (7620, "2 h 07 min")],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text
