"""How long a whole run still takes: the stages ahead, priced by what was measured so far.

The work of a stage is counted in tokens, weighted by what they cost. A kind of stage that was never measured is priced
like the measured ones, so the first estimate appears with the first measurement, and is rough until every kind of
stage was seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ahead:
    """A stage that the run will go through.

    Attributes:
        name: Unique in the run: `grpo`, `evaluate:base`. Stages of one kind (the part before the colon) take equally
            long for a token.
        tokens: Its work, in sampled tokens.
    """

    name: str
    tokens: float | int

    @property
    def kind(self) -> str:
        return self.name.partition(":")[0]


class WholeRun:
    """Estimates the time to the end of a run that goes through `stages` in order, or leaves some of them out."""

    def __init__(self, stages: Sequence[Ahead]) -> None:
        self._ahead = list(stages)
        self._current: Ahead | None = None
        self._began = self._done_before = 0.0
        self._past: Mapping[str, tuple[float, float]] = {}

    def enter(self, name: str, now: float, share_done: float = 0.0) -> None:
        """A stage begins, of which a resumed run has done a share; what stands before it in the plan is over.

        A stage that is not in the plan is ignored.
        """
        self._past = self._measured(now, 1.0)
        place = next((i for i, stage in enumerate(self._ahead) if stage.name == name), None)
        self._current = None
        if place is not None:
            self._current, self._ahead = self._ahead[place], self._ahead[place + 1 :]
        self._began, self._done_before = now, share_done

    def seconds_left(self, now: float, share_done: float, stage_seconds: float | None = None) -> float | None:
        """Seconds until the end of the run; None before anything was measured.

        Args:
            share_done: Of the current stage.
            stage_seconds: What is left of the current stage, where the caller knows better.
        """
        measured = self._measured(now, share_done)
        if not measured:
            return None
        tokens, seconds = (sum(values) for values in zip(*measured.values(), strict=True))

        def price(stage: Ahead) -> float:
            own_tokens, own_seconds = measured.get(stage.kind, (tokens, seconds))
            return stage.tokens * own_seconds / own_tokens

        if stage_seconds is None:
            stage_seconds = price(self._current) * (1 - share_done) if self._current else 0.0
        return stage_seconds + sum(map(price, self._ahead))

    def _measured(self, now: float, share_done: float) -> Mapping[str, tuple[float, float]]:
        """Tokens and seconds by kind of stage, with the current stage up to a share of it."""
        current = self._current
        work = current.tokens * (share_done - self._done_before) if current else 0.0
        if current is None or work <= 0:
            return self._past
        tokens, seconds = self._past.get(current.kind, (0.0, 0.0))
        return {**self._past, current.kind: (tokens + work, seconds + now - self._began)}
