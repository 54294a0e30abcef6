"""Many answers, judged at once: from the ledger where it knows them, else by the endpoint, within the budget.

What a failure leads to is decided here, and nowhere else:

- a time-out, a lost connection, 429, 5xx: again, after waits that double and that `Retry-After` may lengthen; after the
  last try the answer has `failed`;
- a reply that is no mark: again, then `failed`, for good;
- several requests in a row found the endpoint unwell, or it asks for a long wait: the judge pauses, then one request
  tries whether it is back, and so on, the pauses doubling. Answers that come in a pause are `silent`;
- a wrong key or address: an error at the start; later, silence to the end of the session;
- the budget is spent: silence, to the end of the run.

A silent judge never stops a run: what is not judged is paid, or reported, without it.
"""

from __future__ import annotations

import itertools
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from thinkaloud.config import JudgeConfig
from thinkaloud.durations import session_clock
from thinkaloud.errors import UserError
from thinkaloud.judge.endpoint import Endpoint, Failed
from thinkaloud.judge.ledger import Ledger
from thinkaloud.judge.rubric import Marks, Messages, key_of, messages, read_marks

FILE = "judge.jsonl"
"""The ledger's name in a run directory."""
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 1.0, 60.0
"""Between two tries; where the endpoint asks for a longer one, the judge pauses instead."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 60.0, 1800.0
MOST_RETRIES_OF_CHECK = 2
_CHECK_SECONDS = 0.1
_PAUSED = "it pauses, for its endpoint was not well"


class Outcome(StrEnum):
    """What became of an answer that the judge was to mark."""

    JUDGED = "judged"
    FAILED = "failed"
    SILENT = "silent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A creative answer: the question, and the two parts of a completion that keeps the format."""

    question: str
    reasoning: str
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """The outcome of one answer; `marks` where it was judged, `why` in one line where it was not."""

    outcome: Outcome
    marks: Marks | None = None
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something to tell the user once: `state` is `raised` or `cleared`."""

    state: str
    message: str
    remedy: str = ""


@dataclass(slots=True)
class Asking:
    """Answers that are being judged; `Judge.finish` waits for them."""

    keys: list[str]
    known: set[str]
    threads: list[threading.Thread]
    found: dict[str, Ruling] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)


class Judge:
    """A judge with its ledger, for one thread to use.

    Args:
        config: the recipe's section; it must be on.
        path: the ledger's file.
        key: the endpoint's key, if it wants one.
        tell: told what the user should know, from the thread that calls `finish`.
        asks: False: nothing is asked, only the ledger speaks.
    """

    def __init__(
        self,
        config: JudgeConfig,
        path: Path,
        *,
        key: str | None = None,
        tell: Callable[[Notice], None] = lambda notice: None,
        asks: bool = True,
    ) -> None:
        self.config, self.tell, self.asks = config, tell, asks
        self._endpoint, self._ledger = Endpoint(config, key), Ledger(path)
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._overall: list[int] = []
        self._notices: list[Notice] = []
        self._closed = "" if asks else "it is not asked"
        self._under_way = 0  # requests that the ledger has not heard of
        self._unwell = 0  # requests in a row that found the endpoint unwell
        self._pause_seconds = 0.0  # 0: no pause since it was last well
        self._paused_until = 0.0
        self._trying = False
        self._told: set[str] = set()

    def check(self) -> None:
        """See that the judge gives marks, before anything depends on it; where it did once, it is not asked again.

        Raises:
            UserError: it does not.
        """
        asked = messages(
            "Write one sentence about the sea.",
            "One image, and a verb that moves.",
            "The sea turned over in its sleep and pulled the beach up to its chin.",
        )
        key = key_of(self.config.model, asked)
        if key in self._ledger or not self.asks or self._spent():
            return
        for tries in itertools.count(1):
            try:
                marks, calls, tokens = self._once(asked)
            except Failed as error:
                self._ledger.add(None, None, calls=error.calls, tokens=error.tokens)
                if not error.again or tries > min(self.config.max_retries, MOST_RETRIES_OF_CHECK) or self._spent():
                    remedy = "; start it, or see judge.base_url" if error.down else ""
                    raise UserError(f"the judge gives no marks: {error}{remedy}") from None
                time.sleep(min(FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS) * tries)
            else:
                self._ledger.add(key, marks, calls=calls, tokens=tokens)
                return

    def begin(self, answers: Sequence[Answer], patience_seconds: float | int = 0.0) -> Asking:
        """Set threads to work on some answers; the same one is asked about once.

        Args:
            answers: any number.
            patience_seconds: for so long pauses are waited out.
        """
        asked = [messages(answer.question, answer.reasoning, answer.answer) for answer in answers]
        keys = [key_of(self.config.model, one) for one in asked]
        known = {key for key in keys if key in self._ledger}
        wanted = {key: one for key, one in zip(keys, asked, strict=True) if key not in known}
        asking, items = Asking(keys, known, []), iter(wanted.items())
        patient_until = session_clock() + patience_seconds

        def work() -> None:
            while not asking.stop.is_set():
                with self._lock:
                    item = next(items, None)
                if item is None:
                    return
                asking.found[item[0]] = self._settle(*item, asking.stop, patient_until)

        for _ in range(min(self.config.concurrency, len(wanted))):
            thread = threading.Thread(target=work, name="judge", daemon=True)  # what hangs must not outlive the process
            asking.threads.append(thread)
            thread.start()
        return asking

    def finish(self, asking: Asking, check: Callable[[], None] = lambda: None) -> list[Ruling]:
        """The rulings on the answers, in order.

        Args:
            check: called again and again while requests are under way. What it raises ends the waiting; marks that come
                all the same are kept for the next time.
        """
        try:
            for thread in asking.threads:
                while thread.is_alive():
                    thread.join(_CHECK_SECONDS)
                    check()
        finally:
            asking.stop.set()
        rulings = [asking.found[key] if key in asking.found else self._remembered(key) for key in asking.keys]
        for key, ruling in zip(asking.keys, rulings, strict=True):
            self._counts["cached" if key in asking.known else str(ruling.outcome)] += 1
            self._overall += [ruling.marks.overall] if ruling.marks else []
        self._say()
        return rulings

    def take_counts(self) -> dict[str, float | int | None]:
        """What happened since this was last asked: answers `judged` now, `cached` (asked about before), `failed` and
        `silent`; requests (`calls`) and `tokens` of the whole run; the mean of the `overall` marks."""
        names = ("judged", "cached", "failed", "silent")
        counts: dict[str, float | int | None] = {name: self._counts[name] for name in names}
        overall = sum(self._overall) / len(self._overall) if self._overall else None
        self._counts.clear()
        self._overall.clear()
        return {**counts, "calls": self._ledger.calls, "tokens": self._ledger.tokens, "overall": overall}

    def _remembered(self, key: str) -> Ruling:
        marks = self._ledger[key]
        if marks is None:
            return Ruling(outcome=Outcome.FAILED, why="its reply was no mark")
        return Ruling(outcome=Outcome.JUDGED, marks=marks)

    def _settle(self, key: str, asked: Messages, stop: threading.Event, patient_until: float) -> Ruling:
        """Ask until there are marks or asking again is no use, and note what it cost."""
        calls = tokens = begun = 0
        marks: Marks | None = None
        answered = False
        for tries in itertools.count():
            if reason := self._begin(stop, patient_until):
                ruling = Ruling(outcome=Outcome.SILENT, why=reason)
                break
            begun += 1
            try:
                marks, made, cost = self._once(asked)
            except Failed as error:
                calls, tokens, answered = calls + error.calls, tokens + error.tokens, error.again and not error.down
                last = not error.again or tries >= self.config.max_retries
                self._after(error, last)
                if last:
                    ruling = Ruling(outcome=Outcome.SILENT if error.final else Outcome.FAILED, why=str(error))
                    break
                usual = FIRST_WAIT_SECONDS * 2**tries * random.uniform(0.5, 1.5)
                if session_clock() >= self._paused_until:  # else there is a longer wait, or none at all
                    stop.wait(min(LONGEST_WAIT_SECONDS, max(usual, error.wait_seconds or 0.0)))
            else:
                calls, tokens = calls + made, tokens + cost
                self._after(None, True)
                ruling = Ruling(outcome=Outcome.JUDGED, marks=marks)
                break
        with self._lock:
            self._under_way -= begun
            if calls:
                settled = ruling.outcome is Outcome.JUDGED or (ruling.outcome is Outcome.FAILED and answered)
                self._ledger.add(key if settled else None, marks, calls=calls, tokens=tokens)
        return ruling

    def _once(self, asked: Messages) -> tuple[Marks, int, int]:
        """Marks, requests made, tokens; raises Failed."""
        reply = self._endpoint.ask(asked)
        try:
            return read_marks(reply.content), reply.calls, reply.tokens
        except ValueError as error:
            failed = Failed(self._endpoint.plain(str(error)), again=True, tokens=reply.tokens)
            failed.calls = reply.calls
            raise failed from None

    def _begin(self, stop: threading.Event, patient_until: float) -> str:
        """Take leave for one request: empty, or why there is none."""
        while True:
            with self._lock:
                reason = self._silence()
                if not reason:
                    self._under_way += 1
                    self._trying = self._pause_seconds > 0
                    return ""
            if stop.is_set() or reason != _PAUSED or session_clock() >= patient_until:
                return reason
            stop.wait(_CHECK_SECONDS)

    def _silence(self) -> str:
        """Why nothing may be asked now; empty where it may."""
        if self._closed:
            return self._closed
        if spent := self._spent():
            self._notice("budget", "raised", f"{spent}; what it has not marked goes without it", "a larger budget")
            return spent
        if session_clock() < self._paused_until or (self._pause_seconds and self._trying):
            return _PAUSED
        return ""

    def _spent(self) -> str:
        """Which budget of the run is spent, if one is."""
        config, ledger = self.config, self._ledger
        if config.max_calls is not None and ledger.calls + self._under_way >= config.max_calls:
            return f"the judge's budget is spent (judge.max_calls = {config.max_calls})"
        if config.max_tokens is not None and ledger.tokens >= config.max_tokens:
            return f"the judge's budget is spent (judge.max_tokens = {config.max_tokens})"
        return ""

    def _after(self, error: Failed | None, last: bool) -> None:
        """What a request says of the endpoint; `error` is None where it gave marks."""
        with self._lock:
            if error is None or not (error.down or error.final):
                if self._pause_seconds:
                    self._notice("pause", "cleared", "the judge answers again")
                self._unwell, self._pause_seconds, self._trying = 0, 0.0, False
            elif error.final:
                self._closed = str(error)
                self._notice("closed", "raised", f"the judge is not asked any more: {error}", "mend it and --resume")
            else:
                self._unwell += last or not error.busy
                asked_to_wait = error.wait_seconds or 0.0
                if self._trying or self._unwell >= self.config.pause_after or asked_to_wait > LONGEST_WAIT_SECONDS:
                    self._pause(error, asked_to_wait)

    def _pause(self, error: Failed, asked_to_wait: float) -> None:
        if session_clock() < self._paused_until:
            return
        self._pause_seconds = min(LONGEST_PAUSE_SECONDS, max(FIRST_PAUSE_SECONDS, 2 * self._pause_seconds))
        self._pause_seconds = max(self._pause_seconds, min(LONGEST_PAUSE_SECONDS, asked_to_wait))
        self._paused_until, self._trying = session_clock() + self._pause_seconds, False
        message = f"the judge pauses, {self._pause_seconds:.0f} s to begin with: {error}"
        self._notice(
            "pause", "raised", message, "see whether its endpoint is up; what it does not mark goes without it"
        )

    def _notice(self, what: str, state: str, message: str, remedy: str = "") -> None:
        """Tell the user, once, until the opposite is told."""
        if (what in self._told) == (state == "cleared"):
            self._told ^= {what}
            self._notices.append(Notice(state=state, message=message, remedy=remedy))

    def _say(self) -> None:
        with self._lock:
            self._ledger.flush()
            if self._ledger.trouble:
                self._notice(
                    "disk", "raised", f"cannot write the judge's marks ({self._ledger.trouble}); they wait in memory"
                )
            elif "disk" in self._told:
                self._notice("disk", "cleared", "the judge's marks can be written again")
            notices, self._notices = self._notices, []
        for notice in notices:
            self.tell(notice)


def open_judge(
    config: JudgeConfig, path: Path, *, tell: Callable[[Notice], None] = lambda notice: None, asks: bool = True
) -> Judge:
    """The judge of a recipe, seen to give marks.

    Args:
        config: the recipe's section; it must be on.
        path: the ledger's file.
        tell: told what the user should know.
        asks: False: only the ledger speaks, so no key is needed.

    Raises:
        UserError: its key is not there, or it does not answer.
    """
    key = None
    if asks and config.api_key_env:
        key = os.environ.get(config.api_key_env, "").strip()
        if not key or not all("!" <= character <= "~" for character in key):
            found = "one that holds other characters than a key may have" if key else "none"
            raise UserError(
                f"expected the judge's key in the environment variable {config.api_key_env}, found {found}; set it, or "
                "leave judge.api_key_env out for an endpoint that asks for no key"
            )
    judge = Judge(config, path, key=key, tell=tell, asks=asks)
    judge.check()
    return judge
