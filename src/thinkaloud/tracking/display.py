"""The progress of a long command: a live panel on a terminal, plain lines elsewhere.

Everything goes to stderr; stdout carries results only. A display never ends a training run: invalid metrics (None, NaN,
text) are shown as absent, and if the terminal is gone, output stops.
"""

from __future__ import annotations

import io
import math
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, TextIO, cast

from thinkaloud.durations import duration
from thinkaloud.tracking.whole_run import Ahead, WholeRun

if TYPE_CHECKING:
    from rich.console import Console, Group
    from rich.live import Live

_RECENT_STEPS = 20
"""Number of steps whose median time predicts the rest."""
_PROGRESS_SECONDS = 20.0
"""Time between two plain progress lines."""
_LABELS = {
    "cold_start_rows": "sampling answers for the cold start",
    "cold_start": "cold start",
    "grpo": "GRPO",
    "evaluate": "evaluation",
    "data": "curating tasks",
}
_NUMBERS = (("loss", "loss", ".3f"), ("reward", "reward", ".3f"), ("format_rate", "format", ".0%"))


class Display:
    """The progress of one command, stage by stage.

        with Display() as display:
            display.stage("grpo", total_steps=30)
            display.progress(12, 32, "completions sampled")
            display.step(metrics_row)
            display.note("checkpoint saved")

    Args:
        stream: Where to write; stderr if absent. A panel is drawn only on a terminal that can move its cursor.
        clock: Seconds, monotonic.
    """

    def __init__(
        self, stream: TextIO | io.TextIOBase | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = cast(TextIO, sys.stderr if stream is None else stream)
        self._clock = clock
        self._live: Live | None = None
        self._console: Console | None = None
        self._silent = False
        self._begun = clock()
        self._stage = ""
        self._total = 0
        self._done = 0
        self._last_step = clock()
        self._step_seconds: deque[float] = deque(maxlen=_RECENT_STEPS)
        self._metrics: Mapping[str, object] = {}
        self._progress = ""
        self._share = 0.0
        self._run = WholeRun(())
        self._until_deadline: Callable[[], float] | None = None
        self._raised: tuple[str, ...] = ()
        self._machine: Callable[[], str] = str
        self._last_output = self._begun
        if _is_screen(self._stream):
            self._try(self._open_panel)

    def __enter__(self) -> Display:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def expect(self, stages: Sequence[Ahead], until_deadline: Callable[[], float] | None = None) -> None:
        """Set the stages of a run, so that the time left is that of the whole run.

        Args:
            stages: In their order.
            until_deadline: Seconds until the run's deadline, which drops steps that do not fit.
        """
        self._run, self._until_deadline = WholeRun(stages), until_deadline

    def machine(self, usage: Callable[[], str]) -> None:
        """Set what tells, for the panel, the device and the memory in use."""
        self._machine = usage

    def stage(self, name: str, total_steps: int, done: int = 0) -> None:
        """Start a stage of `total_steps` steps (0 if it has no steps), of which `done` were done before a resume.

        In `evaluate:base` the part after the colon tells one evaluation from another.
        """
        self._keep_last_step()
        self._share = done / total_steps if total_steps else 0.0
        self._run.enter(name, self._clock(), self._share)
        self._stage, self._total, self._done = name, total_steps, done
        self._metrics, self._progress = {}, ""
        self._step_seconds.clear()
        self._last_step = self._clock()
        steps = f": {total_steps - done} steps" if total_steps > done else ""
        self._print(f"{_label(name)}{steps}{f' from step {done}' if done else ''}")

    def step(self, metrics: Mapping[str, object]) -> None:
        """A step is done; `metrics` is its row of metrics.jsonl."""
        now = self._clock()
        self._step_seconds.append(now - self._last_step)
        self._last_step = now
        self._done += 1
        self._share = self._done / self._total if self._total else 0.0
        self._metrics, self._progress = metrics, ""
        if self._live is None:
            self._print(self._line())
        else:
            self._refresh()

    def plan(self, total_steps: int) -> None:
        """Set a new number of steps for the current stage."""
        self._total = total_steps
        self._refresh()

    def health(self, raised: Sequence[str]) -> None:
        """Set the names of the active warnings, for the panel."""
        self._raised = tuple(raised)
        self._refresh()

    def progress(self, done: int, total: int, label: str) -> None:
        """Report `done` of `total` within a step or an evaluation; a total of 0 means unknown.

        Plain output prints one line per twenty seconds, and the last one in a stage without steps.
        """
        self._progress = f"{label} {done}/{total}" if total else f"{label} {done}"
        if not self._total and total:
            self._share = done / total
            if (left := self.run_seconds_left) is not None:
                self._progress += f", {duration(left)} left in the run"
        if self._live is not None:
            self._refresh()
            return
        now = self._clock()
        if now - self._last_output >= _PROGRESS_SECONDS or (done >= total > 0 and self._total == 0):
            self._print(f"  {self._progress}")

    def note(self, text: str) -> None:
        """Print a line."""
        self._print(text)

    def close(self) -> None:
        """Remove the panel; printed lines stay. May be called twice."""
        self._keep_last_step()
        live, self._live = self._live, None
        if live is not None:
            self._try(live.stop)

    @property
    def seconds_left(self) -> float | None:
        """The remaining steps times the median of the recent step times; None before the first step of a stage."""
        if not self._step_seconds or self._total <= 0:
            return None
        return median(self._step_seconds) * max(0, self._total - self._done)

    @property
    def run_seconds_left(self) -> float | None:
        """An estimate for all stages of a run, at most until its deadline; None where it has no plan, or nothing was
        measured yet.
        """
        found = self._run.seconds_left(self._clock(), self._share, self.seconds_left)
        if found is None or self._until_deadline is None:
            return found
        return min(found, max(0.0, self._until_deadline()))

    def _line(self) -> str:
        """The plain line of a step."""
        metrics = self._metrics
        parts = [f"{_label(self._stage)} {self._done}/{self._total}"]
        parts += _headline(metrics)
        rates = _domain_rates(metrics)
        if rates:
            parts.append("by domain " + " ".join(f"{name} {rate:.0%}" for name, rate in rates.items()))
        if (speed := _tokens_per_second(metrics)) is not None:
            parts.append(f"{speed:,.0f} tokens/s")
        if (left := self.seconds_left) is not None:
            whole = self.run_seconds_left
            parts.append(f"{duration(left)} left" + (f", {duration(whole)} in the run" if whole is not None else ""))
        return " | ".join(parts)

    def _keep_last_step(self) -> None:
        """Print the last line of a stage, because the panel is erased when it closes."""
        if self._live is not None and self._step_seconds:
            self._print(self._line())

    def _print(self, text: str) -> None:
        clean = "".join(c if c.isprintable() else " " for c in text)
        self._last_output = self._clock()
        console = self._console
        if console is not None and self._live is not None:
            self._try(lambda: console.print(clean, markup=False, highlight=False, soft_wrap=True))
        else:
            self._try(lambda: print(clean, file=self._stream, flush=True))

    def _open_panel(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console = Console(file=self._stream, force_terminal=True)
        self._live = Live(
            console=self._console,
            get_renderable=self._panel,
            refresh_per_second=2,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=self._stream is sys.stderr,
        )
        self._live.start()

    def _refresh(self) -> None:
        if self._live is not None:
            self._try(self._live.refresh)

    def _panel(self) -> Group:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        speed, left = _tokens_per_second(self._metrics), self.seconds_left
        step = f"step {self._done}/{self._total}" if self._total else ""
        head = [_label(self._stage) or "starting", step, *_headline(self._metrics)]
        foot = [
            f"{duration(self._clock() - self._begun)} so far",
            f"{duration(left)} left in this stage" if left is not None else "",
            f"{duration(whole)} in the run" if (whole := self.run_seconds_left) is not None else "",
            f"{speed:,.0f} tokens/s" if speed is not None else "",
            self._progress,
            f"warnings: {', '.join(self._raised)}" if self._raised else "",
        ]
        bars = Table.grid(padding=(0, 2))
        done = self._done / self._total if self._total else 0.0
        for name, share, text in [
            ("steps", done, f"{done:.0%}"),
            *((name, rate, f"format {rate:.0%}") for name, rate in _domain_rates(self._metrics).items()),
        ]:
            bar = ProgressBar(1.0, min(1.0, share), width=30, complete_style="cyan", finished_style="cyan")
            bars.add_row(name, bar, text)
        below = [text for text in ("  ".join(filter(None, foot)), self._machine()) if text]
        return Group(
            Text("  ".join(filter(None, head)), style="bold", no_wrap=True, overflow="ellipsis"),
            bars,
            *(Text(text, style="dim", no_wrap=True, overflow="ellipsis") for text in below),
        )

    def _try(self, write: Callable[[], object]) -> None:
        """Write; if the terminal is gone (hang-up, closed pipe), stop all output without an error."""
        if self._silent:
            return
        try:
            write()
        except UnicodeError:
            pass
        except (OSError, ValueError):
            self._silent = True


def _is_screen(stream: TextIO | io.TextIOBase) -> bool:
    try:
        return stream.isatty() and os.environ.get("TERM", "") not in ("", "dumb", "unknown")
    except ValueError:
        return False


def _label(stage: str) -> str:
    return _LABELS.get(stage.partition(":")[0], stage)


def _number(metrics: Mapping[str, object], key: str) -> float | None:
    """The finite number under `key`, of any numeric type; None for anything else."""
    value = metrics.get(key)
    if value is None or isinstance(value, bool | str | bytes):
        return None
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _headline(metrics: Mapping[str, object]) -> list[str]:
    """The main numbers of a step; the loss only where there is no reward, as GRPO's is near 0 whatever happens."""
    shown = [own for own in _NUMBERS if own[0] != "loss" or _number(metrics, "reward") is None]
    numbers = ((label, form, _number(metrics, key)) for key, label, form in shown)
    return [f"{label} {value:{form}}" for label, form, value in numbers if value is not None]


def _domain_rates(metrics: Mapping[str, object]) -> dict[str, float]:
    """Format rate by domain, if the row has one."""
    domains = metrics.get("domains")
    if not isinstance(domains, Mapping):
        return {}
    rates = {str(name): _number(entry, "format_rate") for name, entry in domains.items() if isinstance(entry, Mapping)}
    return {name: min(1.0, max(0.0, rate)) for name, rate in rates.items() if rate is not None}


def _tokens_per_second(metrics: Mapping[str, object]) -> float | None:
    """Completion tokens (in the cold start all tokens) per second of the whole step."""
    tokens, seconds = metrics.get("tokens"), metrics.get("seconds")
    count = _number(tokens, "completion") if isinstance(tokens, Mapping) else _number(metrics, "tokens")
    spent = _number(seconds, "total") if isinstance(seconds, Mapping) else _number(metrics, "seconds")
    return count / spent if count is not None and spent is not None and spent > 0 else None
