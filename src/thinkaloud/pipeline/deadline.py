"""How many steps fit before a deadline: planned from measured step times, and replanned when they change.

The planner is independent of models: its input is measured times, its output a number of steps. The clock is an
argument, so that tests need not wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

RECENT_STEPS = 20
"""The plan uses the times of so many recent steps, or of all if there are fewer."""
EVALUATION_SHARE = 0.2
"""An evaluation before training is abandoned after this share of the whole time."""
READING_SHARE = 0.05
"""Readings of the base are left out if its evaluation took more than this share of the whole time."""
HEADROOM = 1.3
"""Factor on measured times, when time is reserved for what follows the steps."""
LEAST_DRIFT = 0.03
"""A new plan that differs by less than this share of the remaining steps is ignored."""
LEAST_STEPS = 5
"""A plan with steps left stays in force for at least so many steps, once the first step (compilation) is excluded."""
COLD_START_SHARE = 0.25
"""The cold start gets at most this share of the time that is left when it starts."""


@dataclass(frozen=True, slots=True)
class Reserve:
    """Seconds reserved for what comes after the steps."""

    evaluation: float
    report: float
    saving: float
    margin: float

    @property
    def total(self) -> float:
        return self.evaluation + self.report + self.saving + self.margin


@dataclass(frozen=True, slots=True)
class Plan:
    """The planned number of steps, and the reason.

    Attributes:
        step: Steps done when the plan was made.
        total_steps: Steps of the whole stage, including those already done.
        step_seconds: The median step time it is based on; None before any was measured.
        seconds_left: Seconds until the deadline when the plan was made.
        reason: One phrase.
    """

    step: int
    total_steps: int
    step_seconds: float | None
    seconds_left: float
    reserve: Reserve
    reason: str


class Planner:
    """Plans a stage of steps against a deadline.

    Args:
        seconds: From now to the deadline.
        clock: Seconds, monotonic; should count while the machine is suspended. The same in all processes of a run, so
            that they plan the same.
        most_steps: The recipe's limit, which a plan never exceeds.
    """

    def __init__(self, seconds: float | int, clock: Callable[[], float], most_steps: int) -> None:
        self._clock, self._most = clock, most_steps
        self._end = clock() + seconds
        self._budget = float(seconds)
        self._seconds: deque[float] = deque(maxlen=RECENT_STEPS)
        self._measured: dict[str, float] = {}
        self._steps_seen = 0
        self.plan: Plan | None = None

    @property
    def seconds_left(self) -> float:
        """Until the deadline; negative after it."""
        return self._end - self._clock()

    def record(self, phase: str, seconds: float | int) -> None:
        """Record the time of a phase: `evaluation`, `report` or `saving`. The longest time counts."""
        self._measured[phase] = max(float(seconds), self._measured.get(phase, 0.0))

    def reserve(self) -> Reserve:
        """The time that must be left when the last step ends: measured if possible, else estimated from the budget."""
        guess = min(120.0, 0.05 * self._budget)
        evaluation = self._measured.get("evaluation")
        return Reserve(
            evaluation=2 * guess if evaluation is None else HEADROOM * evaluation,
            report=HEADROOM * self._measured.get("report", min(30.0, guess)),
            saving=HEADROOM * self._measured.get("saving", min(5.0, guess)),
            margin=min(60.0, 0.02 * self._budget),
        )

    def may_evaluate(self) -> bool:
        """Whether an evaluation that starts now ends in time for the report. True if none was measured yet."""
        return self.seconds_left > self._measured.get("evaluation", 0.0) + self._after_evaluation()

    def may_read(self) -> bool:
        """Whether the base's evaluation was short enough to ask the base again in another way."""
        return self._measured.get("evaluation", 0.0) <= READING_SHARE * self._budget

    def must_end_evaluation(self, seconds: float | int) -> bool:
        """Whether to abandon an evaluation that has run for `seconds`.

        An evaluation before training is abandoned after `EVALUATION_SHARE` of the time: the last one takes as long.
        """
        early = "evaluation" not in self._measured and self.plan is None
        return self.seconds_left < self._after_evaluation() or (early and seconds > EVALUATION_SHARE * self._budget)

    def _after_evaluation(self) -> float:
        reserve = self.reserve()
        return reserve.report + reserve.margin

    def cold_start_seconds(self) -> float:
        """How long a cold start that starts now may take."""
        return COLD_START_SHARE * self.training_seconds()

    def training_seconds(self) -> float:
        """The time that is left for the steps."""
        return max(0.0, self.seconds_left - self.reserve().total)

    def record_step(self, seconds: float | int) -> None:
        """Record the time of a step. The first of a session includes compilation; it is dropped after the second."""
        self._steps_seen += 1
        if self._steps_seen == 2:
            self._seconds.clear()
        self._seconds.append(float(seconds))

    def fits(self) -> bool:
        """Whether one more step, as slow as the slowest recent one, ends in time."""
        slowest = max(self._seconds, default=0.0)
        return self.seconds_left - self.reserve().total > slowest * (1.1 if self._seconds else 1.0)

    def must_drop_step(self) -> bool:
        """Whether the current step, while it can still be dropped, runs into the reserved time."""
        return self.seconds_left < self.reserve().total

    def replan(self, done: int) -> Plan | None:
        """Plan again after `done` steps. Returns the new plan, or None if the old one stays in force."""
        usual = median(self._seconds) if self._seconds else None
        left, reserve = self.seconds_left, self.reserve()
        if not self.fits():
            total, reason = done, "no further step fits"
        elif usual is None:
            total, reason = self._most, "grpo.max_steps; no step was measured yet"
        else:
            total = min(self._most, done + max(1, int((left - reserve.total) / max(usual, 1e-9))))
            reason = self._reason(usual)
        old = self.plan
        if old is not None and old.total_steps == total:
            return None
        settled = old is not None and old.step_seconds is not None and old.total_steps > done and total > done
        if settled and old is not None:
            slight = abs(total - old.total_steps) <= LEAST_DRIFT * (old.total_steps - done)
            if slight or (done - old.step < LEAST_STEPS and self._steps_seen > 2):
                return None
        self.plan = Plan(done, total, usual, left, reserve, reason)
        return self.plan

    def _reason(self, usual: float) -> str:
        before = self.plan.step_seconds if self.plan else None
        if before is None:
            return f"steps take {usual:.3g} s"
        if abs(usual / before - 1) < 0.01:
            return f"steps still take {usual:.3g} s; the time left differs from the plan"
        return f"steps now take {usual:.3g} s, before {before:.3g} s"
