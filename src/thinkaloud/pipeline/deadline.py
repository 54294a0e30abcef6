"""How many steps fit before a deadline: planned from measured step times, planned anew as they drift.

The planner knows nothing of models: it is told how long things took, and says how many steps to take. It works on any
clock, so that a night can be tested in a second.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import median

from thinkaloud.distributed.team import from_first

RECENT_STEPS = 20
"""Steps whose times plan the rest; fewer at first."""
EVALUATION_SHARE = 0.2
"""An evaluation before training that takes more of the whole time is given up."""
HEADROOM = 1.3
"""What is still to come is estimated from what was measured, and may take this much longer."""
LEAST_DRIFT = 0.03
"""A plan that differs by less than this share of the steps left is not worth bending the learning rate for."""
LEAST_STEPS = 5
"""A plan that still leaves steps to take holds for so many, once the first step's compilation is forgotten."""
COLD_START_SHARE = 0.25
"""The cold start gets at most this share of the time that is left as it begins."""


@dataclass(frozen=True, slots=True)
class Reserve:
    """Seconds kept for what comes after the steps."""

    evaluation: float
    report: float
    saving: float
    margin: float

    @property
    def total(self) -> float:
        return self.evaluation + self.report + self.saving + self.margin


@dataclass(frozen=True, slots=True)
class Plan:
    """So many steps, and why.

    Attributes:
        total_steps: Of the whole stage, those already taken included.
        step_seconds: The median it rests on; None before any was measured.
        seconds_left: Until the deadline, when it was made.
        reason: In plain words.
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
        clock: Seconds, monotonic, counting while the machine sleeps where it can.
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

    def took(self, what: str, seconds: float | int) -> None:
        """Something besides a step was measured: `evaluation`, `report` or `saving`; the longest counts."""
        self._measured[what] = max(float(seconds), self._measured.get(what, 0.0))

    def reserve(self) -> Reserve:
        """What has to be left when the last step ends: measured where it was, else guessed from the budget."""
        guess = min(120.0, 0.05 * self._budget)
        evaluation = self._measured.get("evaluation")
        return Reserve(
            evaluation=2 * guess if evaluation is None else HEADROOM * evaluation,
            report=HEADROOM * self._measured.get("report", min(30.0, guess)),
            saving=HEADROOM * self._measured.get("saving", min(5.0, guess)),
            margin=min(60.0, 0.02 * self._budget),
        )

    def may_evaluate(self) -> bool:
        """Whether an evaluation that begins now ends in time for the report; the first one is tried in any case."""
        return self.seconds_left > self._measured.get("evaluation", 0.0) + self._after_evaluation()

    def must_end_evaluation(self, seconds: float | int) -> bool:
        """Whether one that has taken so long has to be given up.

        An early one is given up when it takes a good share of the whole, for the one at the end takes as long.
        """
        early = "evaluation" not in self._measured and self.plan is None
        return self.seconds_left < self._after_evaluation() or (early and seconds > EVALUATION_SHARE * self._budget)

    def _after_evaluation(self) -> float:
        reserve = self.reserve()
        return reserve.report + reserve.margin

    def cold_start_seconds(self) -> float:
        """How long a cold start that begins now may take."""
        return max(0.0, COLD_START_SHARE * (self.seconds_left - self.reserve().total))

    def step_took(self, seconds: float | int) -> None:
        """A step is done. The first of a session compiles, and counts only until there is another."""
        self._steps_seen += 1
        if self._steps_seen == 2:
            self._seconds.clear()
        self._seconds.append(float(seconds))

    def fits(self) -> bool:
        """Whether one more step, as slow as the slowest of late, ends in time."""
        slowest = max(self._seconds, default=0.0)
        return self.seconds_left - self.reserve().total > slowest * (1.1 if self._seconds else 1.0)

    def must_drop_step(self) -> bool:
        """Whether a step that is under way, and can still be dropped, eats into what is kept for the rest."""
        return self.seconds_left < self.reserve().total

    def look(self, done: int) -> Plan | None:
        """Plan from here, `done` steps taken; returns the plan where it is a new one, None where the old one holds."""
        usual = median(self._seconds) if self._seconds else None
        left, reserve = self.seconds_left, self.reserve()
        if not self.fits():
            total, reason = done, "no further step fits"
        elif usual is None:
            total, reason = self._most, "no step is measured yet; the recipe's steps until one is"
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
            return f"steps still take {usual:.3g} s; there is more or less time than was planned"
        return f"steps take {usual:.3g} s now, not {before:.3g} s"


class TeamPlanner(Planner):
    """A planner that answers as that of process 0 does, in all processes of a run."""

    def may_evaluate(self) -> bool:
        return from_first(super().may_evaluate)

    def must_end_evaluation(self, seconds: float | int) -> bool:
        return from_first(partial(super().must_end_evaluation, seconds))

    def cold_start_seconds(self) -> float:
        return from_first(super().cold_start_seconds)

    def must_drop_step(self) -> bool:
        return from_first(super().must_drop_step)

    def look(self, done: int) -> Plan | None:
        return from_first(partial(super().look, done))
