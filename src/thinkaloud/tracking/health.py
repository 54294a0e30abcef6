"""Health checks: warnings about the metrics of a run, computed after every step, each with a remedy.

A check measures the recent rows. It raises its warning once and clears it at a lower threshold (hysteresis), so that a
value near the threshold does not alternate. The state depends on the rows alone: a resumed run replays them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

Row = Mapping[str, Any]

SHORT, LONG = 5, 20
"""Window sizes in steps: for the present value, and for a trend."""
KEPT = 2 * LONG
LEAST_COMPLETIONS = 64
"""Completions of a domain in a window before its rewards are compared, from `SHORT` steps at least: the completions of
a group are alike, and a step may have easy tasks alone, so that the best of many small windows is most often luck."""


@dataclass(frozen=True, slots=True)
class Event:
    """A warning that was raised or cleared.

    Attributes:
        check: The name of the check.
        state: `raised` or `cleared`.
        message: The finding.
        remedy: What to do about it; empty if it was cleared.
        value: The measured value.
    """

    stage: str
    step: int
    check: str
    state: str
    message: str
    remedy: str = ""
    value: float | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """A measure of the recent rows with its two thresholds.

    Attributes:
        measure: Returns the value; None if there are too few rows.
        raise_at: The warning is raised at this value or above.
        clear_at: The warning is cleared at this value or below.
        message: A format string with `{value}` or `{share}` (the value in per cent).
        remedy: What to do about it.
    """

    name: str
    measure: Callable[[list[Row]], float | None]
    raise_at: float
    clear_at: float
    message: str
    remedy: str


class Health:
    """The state of the checks of one stage.

    Args:
        stage: The stage that the rows belong to.
    """

    def __init__(self, stage: str = "grpo") -> None:
        self._stage = stage
        self._rows: deque[Row] = deque(maxlen=KEPT)
        self._first: list[Row] = []
        self._raised: dict[str, str] = {}
        self._domains: dict[str, _Domain] = {}
        self.not_finite = 0
        """Consecutive steps whose gradient was not finite."""
        self.idle = 0
        """Consecutive steps without any signal."""
        self.last_good = 0
        """The newest step with a finite gradient."""

    @property
    def raised(self) -> tuple[str, ...]:
        """The checks with an active warning."""
        return tuple(self._raised)

    def replay(self, rows: Iterable[Row]) -> None:
        """Restore the state after `rows`, whose events were already reported."""
        for row in rows:
            self.update(row)

    def update(self, row: Row) -> list[Event]:
        """Add the row of a step; returns the warnings that it raises or clears."""
        self._rows.append(row)
        if len(self._first) < SHORT:
            self._first.append(row)
        bad = bool(row.get("skipped_updates"))
        self.not_finite = self.not_finite + 1 if bad else 0
        silent = row.get("zero_std_fraction") == 1.0 and row.get("teacher_kl") is None
        self.idle = self.idle + 1 if silent else 0
        if not bad:
            self.last_good = row["step"]
        rows = list(self._rows)
        checks = [*CHECKS, Check("entropy", self._lost_entropy, 0.8, 0.7, *_ENTROPY)]
        events = [event for check in checks if (event := self._judge(row["step"], check, check.measure(rows)))]
        for name, cell in (row.get("domains") or {}).items():
            domain = self._domains.setdefault(name, _Domain())
            domain.add(cell)
            check = Check(f"domain {name}", lambda rows: None, 0.6, 0.4, *_domain_texts(name))
            if event := self._judge(row["step"], check, domain.lost_share()):
                events.append(event)
        return events

    def _judge(self, step: int, check: Check, value: float | None) -> Event | None:
        if value is None:
            return None
        if check.name not in self._raised and value >= check.raise_at:
            message = self._raised[check.name] = check.message.format(value=value, share=f"{value:.0%}")
            return Event(self._stage, step, check.name, "raised", message, check.remedy, value)
        if check.name in self._raised and value <= check.clear_at:
            return Event(
                self._stage, step, check.name, "cleared", f"no longer: {self._raised.pop(check.name)}", "", value
            )
        return None

    def _lost_entropy(self, rows: list[Row]) -> float | None:
        """The lost share of the entropy of the first steps."""
        before, now = _mean(self._first, "entropy"), _mean(rows[-SHORT:], "entropy")
        if before is None or now is None or len(rows) < 2 * SHORT or before <= 0:
            return None
        return max(0.0, 1 - now / before)


class _Domain:
    """The rewards of one domain: the current window, and the best window so far."""

    def __init__(self) -> None:
        self._recent: deque[tuple[int, float]] = deque()
        self._best = 0.0

    def add(self, cell: Mapping[str, Any]) -> None:
        reward = cell.get("reward")
        if reward is None or not cell.get("n"):
            return
        self._recent.append((int(cell["n"]), float(reward)))
        while len(self._recent) > SHORT and self._count() - self._recent[0][0] >= LEAST_COMPLETIONS:
            self._recent.popleft()
        if (now := self._now()) is not None:
            self._best = max(self._best, now)

    def lost_share(self) -> float | None:
        """The lost share of the best reward; None if the best reward was below 0.1."""
        now = self._now()
        return None if now is None or self._best < 0.1 else 1 - now / self._best

    def _count(self) -> int:
        return sum(n for n, _ in self._recent)

    def _now(self) -> float | None:
        if len(self._recent) < SHORT or self._count() < LEAST_COMPLETIONS:
            return None
        return sum(n * reward for n, reward in self._recent) / self._count()


def _mean(rows: list[Row], key: str) -> float | None:
    values = [float(row[key]) for row in rows if row.get(key) is not None]
    return fmean(values) if values else None


def _recent(key: str, steps: int = SHORT) -> Callable[[list[Row]], float | None]:
    return lambda rows: _mean(rows[-steps:], key) if len(rows) >= steps else None


def _no_format(rows: list[Row]) -> float | None:
    rate = _recent("format_rate")(rows)
    return None if rate is None else 1 - rate


def _not_finite(rows: list[Row]) -> float | None:
    """1 if the last step's gradient was not finite, 0 after `SHORT` steps with finite ones, 0.5 between."""
    if rows[-1].get("skipped_updates"):
        return 1.0
    return 0.0 if not any(row.get("skipped_updates") for row in rows[-SHORT:]) else 0.5


def _lost_in_validation(rows: list[Row]) -> float | None:
    """By how much the mean of the last two validations is below the validation before GRPO."""
    found = [row["validation"] for row in rows if row.get("validation")]
    if len(found) < 2 or found[-1].get("start") is None:
        return None
    return max(0.0, float(found[-1]["start"]) - fmean(float(one["reward"]) for one in found[-2:]))


def _reward_without_accuracy(rows: list[Row]) -> float | None:
    """The drop of accuracy between two windows in which the reward rises; 0 if the reward does not rise."""
    before, now = rows[-2 * LONG : -LONG], rows[-LONG:]
    if len(before) < LONG:
        return None
    means = [_mean(part, key) for key in ("reward", "accuracy") for part in (before, now)]
    if any(mean is None for mean in means):
        return None
    reward_before, reward_now, accuracy_before, accuracy_now = (float(mean or 0.0) for mean in means)
    return accuracy_before - accuracy_now if reward_now > reward_before + 0.01 else 0.0


CHECKS = (
    Check(
        "not_finite",
        _not_finite,
        1.0,
        0.0,
        "a gradient was not finite; its update was skipped",
        "if it happens again, lower grpo.learning_rate or grpo.max_grad_norm",
    ),
    Check(
        "zero_std_fraction",
        _recent("zero_std_fraction"),
        0.9,
        0.75,
        "{share} of the groups have no signal (all rewards are equal)",
        "if most rewards are 0, use a longer cold start; if most are 1, use harder tasks, a higher temperature or "
        "larger groups",
    ),
    Check(
        "no_format",
        _no_format,
        0.98,
        0.95,
        "{share} of the completions have an invalid format and earn no reward",
        "use a longer cold start (cold_start.max_steps), or raise rollout.max_new_tokens",
    ),
    Check(
        "truncation",
        _recent("truncated_rate"),
        0.25,
        0.2,
        "{share} of the completions are cut off at the token limit",
        "raise rollout.max_new_tokens, or set rewards.truncated = 'mask'",
    ),
    Check(
        "kl",
        _recent("kl"),
        0.5,
        0.25,
        "the KL divergence from the reference is {value:.2g} nats per token",
        "lower grpo.learning_rate, or raise grpo.beta",
    ),
    Check(
        "validation",
        _lost_in_validation,
        0.08,
        0.04,
        "the validation reward is {value:.2f} below that of the model before GRPO",
        "lower grpo.learning_rate to a third and start again from the cold start; the best model by validation is kept",
    ),
    Check(
        "reward_without_accuracy",
        _reward_without_accuracy,
        0.05,
        0.02,
        "the reward rises while accuracy fell by {share}",
        "read `thinkaloud rollouts RUN --sort reward`, and look for wrong answers with a high reward",
    ),
)
_ENTROPY = (
    "entropy is {share} below that of the first steps: completions become identical",
    "raise rollout.temperature, lower grpo.learning_rate, or raise grpo.beta",
)


def _domain_texts(name: str) -> tuple[str, str]:
    """Message and remedy of a domain's check."""
    escaped = name.replace("{", "{{").replace("}", "}}")
    return (
        escaped + " has lost {share} of its best reward",
        f"read `thinkaloud rollouts RUN --domain {name}`; lower grpo.learning_rate or mixture.exponent",
    )
