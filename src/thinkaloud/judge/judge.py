"""Many answers, judged at once: from the ledger where it has their marks, else by the endpoint, within the budget.

All failures are handled here:

- a timeout, a lost connection, 429, 5xx: retried, after waits that double and that `Retry-After` may lengthen; after
  the last retry the answer has `failed`;
- a reply without valid marks: retried, then `failed` for good;
- several failures in a row, or a request to wait long: the judge pauses (see `pauses`). Answers that arrive during a
  pause are `silent`;
- a wrong key or address: an error at the start; later, all further answers of the session are `silent`;
- a spent budget: all further answers of the run are `silent`.

None of this stops a run: answers without marks are scored, or reported, without the judge.
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
from pathlib import Path
from typing import TYPE_CHECKING

from thinkaloud.config import JudgeConfig
from thinkaloud.durations import session_clock
from thinkaloud.errors import UserError
from thinkaloud.judge.failure import Failed
from thinkaloud.judge.ledger import Ledger
from thinkaloud.judge.pauses import LONGEST_WAIT_SECONDS, Pauses
from thinkaloud.judge.records import Answer, Notice, Outcome, Ruling
from thinkaloud.judge.rubric import Marks, Messages, key_of, messages, read_marks

if TYPE_CHECKING:
    from thinkaloud.judge.endpoint import Endpoint

FILE = "judge.jsonl"
"""The ledger's name in a run directory."""
FIRST_WAIT_SECONDS = 1.0
"""Before the first retry."""
MOST_RETRIES_OF_CHECK = 2
_CHECK_SECONDS = 0.1
_PAUSED = "the judge is paused because its endpoint failed"
_CACHE_ONLY = "no requests are made, and the answer has no cached marks"


@dataclass(slots=True)
class Asking:
    """Answers that are being judged; `Judge.finish` waits for them."""

    keys: list[str]
    known: set[str]
    threads: list[threading.Thread]
    found: dict[str, Ruling] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)


class Judge:
    """A judge with its ledger, for use by one thread.

    Args:
        config: The recipe's section; it must be on.
        path: The ledger's file.
        key: The endpoint's key, if it needs one.
        notify: Called with what the user should know, from the thread that calls `finish`.
        sends_requests: False: cache only, no requests.
    """

    def __init__(
        self,
        config: JudgeConfig,
        path: Path,
        *,
        key: str | None = None,
        notify: Callable[[Notice], None] = lambda notice: None,
        sends_requests: bool = True,
    ) -> None:
        self.config, self.notify, self.sends_requests = config, notify, sends_requests
        self._endpoint, self._ledger = _endpoint(config, key) if sends_requests else None, Ledger(path)
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._overall: list[int] = []
        self._notices: list[Notice] = []
        self._active: set[str] = set()  # notices that were raised and not cleared
        self._closed = "" if sends_requests else _CACHE_ONLY
        self._in_flight = 0  # requests that the ledger does not count yet
        self._pauses = Pauses(config.pause_after)

    def check(self) -> None:
        """Check that the judge returns marks, before anything depends on it. A success is remembered in the ledger.

        Raises:
            UserError: It does not.
        """
        asked = messages(
            "Write one sentence about the sea.",
            "One image, and a verb that moves.",
            "The sea turned over in its sleep and pulled the beach up to its chin.",
        )
        key = key_of(self.config.model, asked)
        if key in self._ledger or not self.sends_requests or self._spent():
            return
        for tries in itertools.count(1):
            try:
                marks, calls, tokens = self._request(asked)
            except Failed as error:
                self._ledger.add(None, None, calls=error.calls, tokens=error.tokens)
                if not error.again or tries > min(self.config.max_retries, MOST_RETRIES_OF_CHECK) or self._spent():
                    fix = "; start it, or check judge.base_url" if error.down else ""
                    raise UserError(f"the judge returned no marks: {error}{fix}") from None
                time.sleep(FIRST_WAIT_SECONDS * tries)
            else:
                self._ledger.add(key, marks, calls=calls, tokens=tokens)
                return

    def begin(self, answers: Sequence[Answer], patience_seconds: float | int = 0.0) -> Asking:
        """Start threads that judge some answers; equal answers are judged once.

        Args:
            answers: Any number.
            patience_seconds: How long pauses are waited out.
        """
        asked = [messages(answer.question, answer.reasoning, answer.answer, answer.gold) for answer in answers]
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
            thread = threading.Thread(target=work, name="judge", daemon=True)  # a hanging request must not block exit
            asking.threads.append(thread)
            thread.start()
        return asking

    def finish(self, asking: Asking, check: Callable[[], None] = lambda: None) -> list[Ruling]:
        """The rulings on the answers, in order.

        Args:
            check: Called repeatedly while requests are in flight. What it raises ends the waiting; marks that arrive
                nevertheless are kept in the ledger.
        """
        try:
            for thread in asking.threads:
                while thread.is_alive():
                    thread.join(_CHECK_SECONDS)
                    check()
        finally:
            asking.stop.set()
        rulings = [asking.found[key] if key in asking.found else self._cached(key) for key in asking.keys]
        for key, ruling in zip(asking.keys, rulings, strict=True):
            self._counts["cached" if key in asking.known else str(ruling.outcome)] += 1
            self._overall += [ruling.marks.overall] if ruling.marks else []
        self._report()
        return rulings

    def take_counts(self) -> dict[str, float | int | None]:
        """What happened since the last call: answers `judged` now, `cached` (judged before), `failed` and `silent`;
        requests (`calls`) and `tokens` of the whole run; the mean of the `overall` marks."""
        names = ("judged", "cached", "failed", "silent")
        counts: dict[str, float | int | None] = {name: self._counts[name] for name in names}
        overall = sum(self._overall) / len(self._overall) if self._overall else None
        self._counts.clear()
        self._overall.clear()
        return {**counts, "calls": self._ledger.calls, "tokens": self._ledger.tokens, "overall": overall}

    def _cached(self, key: str) -> Ruling:
        marks = self._ledger[key]
        if marks is None:
            return Ruling(outcome=Outcome.FAILED, why="its reply held no valid marks")
        return Ruling(outcome=Outcome.JUDGED, marks=marks)

    def _settle(self, key: str, asked: Messages, stop: threading.Event, patient_until: float) -> Ruling:
        """Request marks until there are some or retries are no use, and note the cost."""
        calls = tokens = begun = 0
        marks: Marks | None = None
        answered = False
        for tries in itertools.count():
            if reason := self._reserve(stop, patient_until):
                ruling = Ruling(outcome=Outcome.SILENT, why=reason)
                break
            begun += 1
            try:
                marks, made, cost = self._request(asked)
            except Failed as error:
                calls, tokens, answered = calls + error.calls, tokens + error.tokens, error.again and not error.down
                last = not error.again or tries >= self.config.max_retries
                self._note_failure(error, last)
                if last:
                    ruling = Ruling(outcome=Outcome.SILENT if error.final else Outcome.FAILED, why=str(error))
                    break
                usual = FIRST_WAIT_SECONDS * 2**tries * random.uniform(0.5, 1.5)
                if not self._pauses.waiting:
                    stop.wait(min(LONGEST_WAIT_SECONDS, max(usual, error.wait_seconds or 0.0)))
            else:
                calls, tokens = calls + made, tokens + cost
                self._note_success()
                ruling = Ruling(outcome=Outcome.JUDGED, marks=marks)
                break
        with self._lock:
            self._in_flight -= begun
            if calls:
                settled = ruling.outcome is Outcome.JUDGED or (ruling.outcome is Outcome.FAILED and answered)
                self._ledger.add(key if settled else None, marks, calls=calls, tokens=tokens)
        return ruling

    def _request(self, asked: Messages) -> tuple[Marks, int, int]:
        """Marks, requests made, tokens; raises Failed."""
        assert self._endpoint is not None
        reply = self._endpoint.ask(asked)
        try:
            return read_marks(reply.content), reply.calls, reply.tokens
        except ValueError as error:
            message = self._endpoint.plain(str(error))
            raise Failed(message, again=True, tokens=reply.tokens, calls=reply.calls) from None

    def _reserve(self, stop: threading.Event, patient_until: float) -> str:
        """Reserve one request of the budget: empty, or why none may be made."""
        while True:
            with self._lock:
                reason = self._refusal()
                if not reason:
                    self._in_flight += 1
                    self._pauses.begin_request()
                    return ""
            if stop.is_set() or reason != _PAUSED or session_clock() >= patient_until:
                return reason
            stop.wait(_CHECK_SECONDS)

    def _refusal(self) -> str:
        """Why no request may be made now; empty where one may."""
        if self._closed:
            return self._closed
        if spent := self._spent():
            self._notice("budget", "raised", f"{spent}; further answers get no marks", "a larger budget")
            return spent
        return _PAUSED if self._pauses.closed else ""

    def _spent(self) -> str:
        return self._ledger.spent(self.config, self._in_flight)

    def _note_success(self) -> None:
        with self._lock:
            if self._pauses.succeeded():
                self._notice("pause", "cleared", "the judge responds again")

    def _note_failure(self, error: Failed, last: bool) -> None:
        if not (error.down or error.final):
            return self._note_success()
        with self._lock:
            if error.final:
                self._closed = str(error)
                self._notice("closed", "raised", f"the judge is disabled: {error}", "fix it and --resume")
            elif (seconds := self._pauses.failed(error, last=last)) is not None:
                message = f"the judge pauses, {seconds:.0f} s at first: {error}"
                fix = "check that its endpoint is running; answers during a pause get no marks"
                self._notice("pause", "raised", message, fix)
        return None

    def _notice(self, what: str, state: str, message: str, remedy: str = "") -> None:
        """Report something once, until the opposite is reported."""
        if (what in self._active) == (state == "cleared"):
            self._active ^= {what}
            self._notices.append(Notice(state=state, message=message, remedy=remedy))

    def _report(self) -> None:
        with self._lock:
            self._ledger.flush()
            if self._ledger.trouble:
                message = f"cannot write the judge's marks ({self._ledger.trouble}); they stay in memory"
                self._notice("disk", "raised", message)
            elif "disk" in self._active:
                self._notice("disk", "cleared", "the judge's marks can be written again")
            notices, self._notices = self._notices, []
        for notice in notices:
            self.notify(notice)


def _endpoint(config: JudgeConfig, key: str | None) -> Endpoint:
    from thinkaloud.judge.endpoint import Endpoint  # loads openai

    return Endpoint(config, key)


def read_key(variable: str | None, setting: str, address: str = "base_url") -> str | None:
    """An endpoint's key from an environment variable; None without one.

    Args:
        variable: Its name.
        setting: What the recipe's keys begin with, for the message.
        address: The rest of the key that holds the endpoint's address.

    Raises:
        UserError: The variable holds no key.
    """
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if not key or not all("!" <= character <= "~" for character in key):
        found = "one with characters that a key cannot have" if key else "none"
        raise UserError(
            f"expected the key of {setting}{address} in the environment variable {variable}, found {found}; set it, or "
            f"omit {setting}api_key_env for an endpoint without a key"
        )
    return key


def open_judge(
    config: JudgeConfig,
    path: Path,
    *,
    notify: Callable[[Notice], None] = lambda notice: None,
    sends_requests: bool = True,
) -> Judge:
    """The judge of a recipe, after a check that it returns marks.

    Args:
        config: The recipe's section; it must be on.
        path: The ledger's file.
        notify: Called with what the user should know.
        sends_requests: False: cache only, no requests, so no key is needed.

    Raises:
        UserError: Its key is missing, or it does not answer.
    """
    key = read_key(config.api_key_env, "judge.") if sends_requests else None
    judge = Judge(config, path, key=key, notify=notify, sends_requests=sends_requests)
    judge.check()
    return judge
