"""Is the run well? Checks over its metrics after every step, in plain words and with a remedy.

A check looks at the recent rows, raises its warning once, and takes it back only when things are clearly better
(hysteresis), so that a value on the edge does not chatter. Health is a function of the rows alone: a resumed run gets
it back by replaying them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

Row = Mapping[str, Any]

SHORT, LONG = 5, 20
"""Steps that a check of the present looks at, and one of a trend."""
KEPT = 2 * LONG
LEAST_COMPLETIONS = 16
"""Of a domain, before its rewards are compared."""


@dataclass(frozen=True, slots=True)
class Event:
    """A warning raised, or taken back.

    Attributes:
        check: Its name.
        state: `raised` or `cleared`.
        message: What was seen.
        remedy: What to do about it; empty where it was cleared.
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
    """A measure of the recent rows, and where it is bad and where good again.

    Attributes:
        measure: None where there is too little to judge by.
        raise_at: The warning is raised from here upwards.
        clear_at: It is taken back from here downwards.
        message: With `{value}`.
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
        stage: Whose rows these are.
    """

    def __init__(self, stage: str = "grpo") -> None:
        self._stage = stage
        self._rows: deque[Row] = deque(maxlen=KEPT)
        self._first: list[Row] = []
        self._raised: dict[str, str] = {}
        self._domains: dict[str, _Domain] = {}
        self.not_finite = 0
        """Steps in a row whose gradient was not finite."""
        self.idle = 0
        """Steps in a row without any signal."""
        self.last_good = 0
        """The newest step before these."""

    @property
    def raised(self) -> tuple[str, ...]:
        """The checks whose warnings stand."""
        return tuple(self._raised)

    def replay(self, rows: Iterable[Row]) -> None:
        """Come to the state after `rows`, which were told before."""
        for row in rows:
            self.look(row)

    def look(self, row: Row) -> list[Event]:
        """One more step; returns the warnings that it raises or clears."""
        self._rows.append(row)
        if len(self._first) < SHORT:
            self._first.append(row)
        bad = bool(row.get("skipped_updates"))
        self.not_finite = self.not_finite + 1 if bad else 0
        self.idle = self.idle + 1 if row.get("zero_std_fraction") == 1.0 else 0
        if not bad:
            self.last_good = row["step"]
        rows = list(self._rows)
        checks = [*CHECKS, Check("entropy", self._lost_entropy, 0.8, 0.7, *_ENTROPY)]
        events = [event for check in checks if (event := self._judge(row["step"], check, check.measure(rows)))]
        for name, cell in (row.get("domains") or {}).items():
            domain = self._domains.setdefault(name, _Domain())
            domain.add(cell)
            fallen = domain.fallen()
            check = Check(f"domain {name}", lambda rows: None, 0.6, 0.4, *_domain_words(name))
            if event := self._judge(row["step"], check, fallen):
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
        """The share of the first steps' entropy that is gone."""
        before, now = _mean(self._first, "entropy"), _mean(rows[-SHORT:], "entropy")
        if before is None or now is None or len(rows) < 2 * SHORT or before <= 0:
            return None
        return max(0.0, 1 - now / before)


class _Domain:
    """The rewards of one domain: the best window there was, and the window now."""

    def __init__(self) -> None:
        self._recent: deque[tuple[int, float]] = deque()
        self._best = 0.0

    def add(self, cell: Mapping[str, Any]) -> None:
        reward = cell.get("reward")
        if reward is None or not cell.get("n"):
            return
        self._recent.append((int(cell["n"]), float(reward)))
        while sum(n for n, _ in self._recent) - self._recent[0][0] >= LEAST_COMPLETIONS:
            self._recent.popleft()
        if (now := self._now()) is not None:
            self._best = max(self._best, now)

    def fallen(self) -> float | None:
        """The share of its best reward that is gone; None where it never was worth speaking of."""
        now = self._now()
        return None if now is None or self._best < 0.1 else 1 - now / self._best

    def _now(self) -> float | None:
        count = sum(n for n, _ in self._recent)
        return sum(n * reward for n, reward in self._recent) / count if count >= LEAST_COMPLETIONS else None


def _mean(rows: list[Row], key: str) -> float | None:
    values = [float(row[key]) for row in rows if row.get(key) is not None]
    return fmean(values) if values else None


def _recent(key: str, steps: int = SHORT) -> Callable[[list[Row]], float | None]:
    return lambda rows: _mean(rows[-steps:], key) if len(rows) >= steps else None


def _no_format(rows: list[Row]) -> float | None:
    rate = _recent("format_rate")(rows)
    return None if rate is None else 1 - rate


def _not_finite(rows: list[Row]) -> float | None:
    """1 where the last step's gradient was not finite, 0 after five that were."""
    if rows[-1].get("skipped_updates"):
        return 1.0
    return 0.0 if not any(row.get("skipped_updates") for row in rows[-SHORT:]) else 0.5


def _apart(rows: list[Row]) -> float | None:
    """How far accuracy has fallen over two windows in which the reward has risen; 0 where it has not."""
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
        "if it happens again: a lower grpo.learning_rate, or a lower grpo.max_grad_norm",
    ),
    Check(
        "zero_std_fraction",
        _recent("zero_std_fraction"),
        0.9,
        0.75,
        "in {share} of the groups all rewards are equal: nothing to learn from",
        "where most rewards are 0: a longer cold start; where most are full: harder tasks, a higher temperature or "
        "larger groups",
    ),
    Check(
        "no_format",
        _no_format,
        0.98,
        0.95,
        "{share} of the completions break the format, and earn nothing",
        "a longer cold start (cold_start.max_steps), or more room (rollout.max_new_tokens)",
    ),
    Check(
        "truncation",
        _recent("truncated_rate"),
        0.25,
        0.2,
        "{share} of the completions are cut at the token limit",
        "raise rollout.max_new_tokens, or set rewards.truncated = 'mask'",
    ),
    Check(
        "kl",
        _recent("kl"),
        0.5,
        0.25,
        "the KL to the start of GRPO is {value:.2g} nats a token: the policy runs away",
        "a lower grpo.learning_rate, or a higher grpo.beta",
    ),
    Check(
        "reward_without_accuracy",
        _apart,
        0.05,
        0.02,
        "the reward rises while accuracy fell by {share}: something else is being paid",
        "read `thinkaloud rollouts RUN --sort reward`, and look for what earns without being right",
    ),
)
_ENTROPY = (
    "entropy is {share} below that of the first steps: the policy says the same again and again",
    "a higher rollout.temperature, a lower grpo.learning_rate, or a higher grpo.beta",
)


def _domain_words(name: str) -> tuple[str, str]:
    words = name.replace("{", "{{").replace("}", "}}")
    return (
        words + " has lost {share} of the best reward it had",
        f"read `thinkaloud rollouts RUN --domain {name}`; a lower grpo.learning_rate, or a lower mixture.exponent",
    )
