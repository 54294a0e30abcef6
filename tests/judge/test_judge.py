"""The judge against a real server on loopback: marks, failures, budget, ledger, key."""

from __future__ import annotations

import email.utils
import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from support.fake_endpoint import CannedReply, Fake, serving
from thinkaloud.config import JudgeConfig
from thinkaloud.errors import UserError
from thinkaloud.judge import Answer, Judge, Marks, Notice, Outcome, Ruling, open_judge, pauses
from thinkaloud.judge import judge as module
from thinkaloud.judge.endpoint import FORMS, _LimitedBody

KEY = "sk-SECRET-9f3b"


def answers(count: int, first: int = 0) -> list[Answer]:
    return [Answer(question="Write.", reasoning="plan", answer=f"story {i}") for i in range(first, first + count)]


def number_of(asked: dict[str, Any]) -> int:
    """Which of `answers` a request is about."""
    return int(asked["messages"][1]["content"].partition("story ")[2].partition("\n")[0])


def judge_at(fake: Fake, path: Path, told: list[Notice] | None = None, **settings: Any) -> Judge:
    config = JudgeConfig(base_url=fake.url, model="j", **{"concurrency": 1, "timeout_seconds": 5.0, **settings})
    return Judge(config, path / "judge.jsonl", notify=(told if told is not None else []).append)


def rule(
    judge: Judge, some: list[Answer], check: Callable[[], None] = lambda: None, patience: float = 0.0
) -> list[Ruling]:
    return judge.finish(judge.begin(some, patience), check)


def outcomes(rulings: list[Ruling]) -> list[str]:
    return [str(ruling.outcome) for ruling in rulings]


def test_marks_come_in_order_and_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_ORG_ID", "OPENAI_BASE_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:1/not-ours")  # the client must not read these

    def reply(_: int, asked: dict[str, Any]) -> CannedReply:
        mark = number_of(asked)
        return CannedReply(f'{{"reasoning": {mark}, "answer": {mark}, "overall": {mark}}}', seconds=0.05 * (mark % 3))

    with serving(reply) as fake:
        judge = judge_at(fake, tmp_path, concurrency=3)
        rulings = rule(judge, answers(9, first=1))
    assert [ruling.marks for ruling in rulings] == [Marks(reasoning=i, answer=i, overall=i) for i in range(1, 10)]
    assert 2 <= fake.most_at_once <= 3
    first = fake.asked[0]
    assert first["path"] == "/v1/chat/completions"
    assert (first["model"], first["temperature"], first["max_tokens"]) == ("j", 0, 1024)
    assert first["response_format"]["type"] == "json_schema"
    assert fake.authorizations == [None] * 9
    counts = judge.take_counts()
    assert counts == {
        **{"judged": 9, "cached": 0, "failed": 0, "silent": 0},
        **{"calls": 9, "tokens": 900, "overall": 5.0},
    }
    assert judge.take_counts()["judged"] == 0


def test_equal_answers_are_judged_once(tmp_path: Path) -> None:
    with serving() as fake:
        first = judge_at(fake, tmp_path)
        assert outcomes(rule(first, answers(2) + answers(2))) == ["judged"] * 4
        assert outcomes(rule(first, answers(2))) == ["judged"] * 2
        again = judge_at(fake, tmp_path)
        assert rule(again, answers(2)) == rule(first, answers(2))
        assert fake.calls == 2
        assert again.take_counts() | {"overall": None} == {
            **{"judged": 0, "cached": 2, "failed": 0, "silent": 0},
            **{"calls": 2, "tokens": 200, "overall": None},
        }
        rule(Judge(JudgeConfig(base_url=fake.url, model="k"), tmp_path / "judge.jsonl"), answers(1))
        assert fake.calls == 3, "another judge has its own marks"


def test_a_line_cut_off_by_a_crash_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "judge.jsonl"
    with serving() as fake:
        rule(judge_at(fake, tmp_path), answers(2))
        whole = path.read_bytes()
        path.write_bytes(whole[:-10])
        assert outcomes(rule(judge_at(fake, tmp_path), answers(2))) == ["judged"] * 2
        assert fake.calls == 3, "the cut line is requested again"
        rule(judge_at(fake, tmp_path), answers(2))
        assert fake.calls == 3
    lines = path.read_text().splitlines()
    assert len(lines) == 3
    assert json.loads(lines[2])["marks"] == {"reasoning": 7, "answer": 6, "overall": 8}
    path.write_text('{"key": 3}\n[]\nnull\n{"key": "a", "calls": 1, "tokens": 1, "marks": {"overall": 99}}\n')
    with serving() as fake:
        assert outcomes(rule(judge_at(fake, tmp_path), answers(1))) == ["judged"]


def test_transient_failures_are_retried(tmp_path: Path) -> None:
    bad = [
        CannedReply(status=500, body=b"<html>oops</html>"),
        CannedReply(status=429, body=b"{}", headers={"Retry-After": "0"}),
        CannedReply("no marks from me"),
        CannedReply(body=b"not JSON at all"),
    ]
    with serving(lambda number, _: bad[number] if number < len(bad) else CannedReply()) as fake:
        told: list[Notice] = []
        judge = judge_at(fake, tmp_path, told)
        assert outcomes(rule(judge, answers(1))) == ["judged"]
    assert fake.calls == 5
    assert told == []
    assert judge.take_counts()["calls"] == 5


def test_waits_double_and_retry_after_is_honoured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_WAIT_SECONDS", 0.02)
    waits: list[float] = []
    wait = threading.Event.wait
    date = email.utils.formatdate(time.time() + 3600, usegmt=True)

    def noted(event: threading.Event, seconds: float | None = None) -> bool:
        if threading.current_thread().name != "judge":
            return wait(event, seconds)
        waits.append(seconds or 0.0)
        return wait(event, 0.0)

    def reply(number: int, _: dict[str, Any]) -> CannedReply:
        return [
            CannedReply(status=429, headers={"Retry-After": "1"}),
            CannedReply(status=503),
            CannedReply(status=429),
            CannedReply(),
        ][number]

    with serving(reply) as fake, monkeypatch.context() as patch:
        patch.setattr(threading.Event, "wait", noted)
        assert outcomes(rule(judge_at(fake, tmp_path), answers(1))) == ["judged"]
    assert waits[0] == 1.0
    assert 0.02 <= waits[1] <= 0.06
    assert 0.04 <= waits[2] <= 0.12
    told: list[Notice] = []
    waits.clear()
    with (
        serving(lambda *_: CannedReply(status=429, headers={"Retry-After": date})) as fake,
        monkeypatch.context() as patch,
    ):
        patch.setattr(threading.Event, "wait", noted)
        judge = judge_at(fake, tmp_path, told, max_retries=9)
        assert outcomes(rule(judge, answers(3, first=50))) == ["silent"] * 3
    assert sum(waits) < 20
    assert fake.calls == 1, "an hour is too long to wait"
    assert [notice.state for notice in told] == ["raised"]
    assert "pauses, 1800 s" in told[0].message


def test_a_slow_reply_is_a_failure(tmp_path: Path) -> None:
    with serving(lambda number, _: CannedReply(seconds=1.0 if number == 0 else 0.0)) as fake:
        judge = judge_at(fake, tmp_path, timeout_seconds=0.2, max_retries=1)
        assert outcomes(rule(judge, answers(1))) == ["judged"]
        assert fake.calls == 2
        hopeless = judge_at(fake, tmp_path, timeout_seconds=0.2, max_retries=0)
        fake.reply = lambda *_: CannedReply(seconds=0.6)
        (ruling,) = rule(hopeless, answers(1, first=5))
    assert ruling.outcome is Outcome.FAILED
    assert "judge.timeout_seconds = 0.2" in ruling.why


@pytest.mark.parametrize(
    "said",
    [
        CannedReply("Ten out of ten!"),
        CannedReply(None),
        CannedReply('{"reasoning": 7', finish="length"),
        CannedReply('{"reasoning": 11, "answer": 6, "overall": 8}'),
    ],
)
def test_replies_without_marks_fail_for_good(tmp_path: Path, said: CannedReply) -> None:
    with serving(lambda *_: said) as fake:
        judge = judge_at(fake, tmp_path, max_retries=2)
        assert outcomes(rule(judge, answers(8))) == ["failed"] * 8
        assert fake.calls == 24, "unusable replies cause no pause"
        assert outcomes(rule(judge_at(fake, tmp_path), answers(8))) == ["failed"] * 8
        assert fake.calls == 24, "a resumed run makes no requests"


def test_a_body_of_more_than_the_limit_is_not_read(tmp_path: Path) -> None:
    with serving(lambda *_: CannedReply(body=b" " * (3 << 20))) as fake:
        (ruling,) = rule(judge_at(fake, tmp_path, max_retries=0), answers(1))
    assert ruling.outcome is Outcome.FAILED
    assert "more than 1 MiB" in ruling.why


def test_a_compressed_body_is_not_expanded(tmp_path: Path) -> None:
    bomb = CannedReply(body=gzip.compress(b" " * (64 << 20)), headers={"Content-Encoding": "gzip"})
    with serving(lambda *_: bomb) as fake:
        (ruling,) = rule(judge_at(fake, tmp_path, max_retries=0), answers(1))
    assert ruling.outcome is Outcome.FAILED
    assert "no chat completion" in ruling.why


def test_a_body_that_drips_ends_at_the_time_limit() -> None:
    class Drip(httpx2.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            while True:
                yield b" "

    with pytest.raises(httpx2.ReadTimeout):
        list(_LimitedBody(Drip(), time.monotonic() + 0.01))


def test_unsupported_request_forms_are_skipped(tmp_path: Path) -> None:
    def reply(_: int, asked: dict[str, Any]) -> CannedReply:
        known = "response_format" not in asked
        return CannedReply() if known else CannedReply(status=400, body=b'{"error": {"message": "unknown field"}}')

    with serving(reply) as fake:
        judge = judge_at(fake, tmp_path)
        assert outcomes(rule(judge, answers(3))) == ["judged"] * 3
        assert fake.calls == 5, "two forms are refused, once"
        assert judge.take_counts()["calls"] == 5
        fake.reply = lambda *_: CannedReply(status=400, body=b'{"error": {"message": "too long"}}')
        (ruling,) = rule(judge, answers(1, first=7))
    assert ruling.outcome is Outcome.FAILED
    assert "400: too long" in ruling.why
    assert fake.calls == 6
    assert "temperature" not in FORMS[-2]


def test_a_model_without_a_system_message_gets_one_message(tmp_path: Path) -> None:
    def reply(number: int, asked: dict[str, Any]) -> CannedReply:
        known = [message["role"] for message in asked["messages"]] == ["user"]
        return CannedReply() if known else CannedReply(status=400, body=b'{"error": {"message": "no system role"}}')

    with serving(reply) as fake:
        judge = judge_at(fake, tmp_path, concurrency=1)
        assert outcomes(rule(judge, answers(2))) == ["judged"] * 2
    refused, taken = fake.asked[len(FORMS) - 2], fake.asked[len(FORMS) - 1]
    assert taken["messages"][0]["content"] == "\n\n".join(message["content"] for message in refused["messages"])
    assert fake.calls == len(FORMS) + 1


def test_a_failing_endpoint_is_paused_and_probed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(module, "session_clock", lambda: now[0])
    monkeypatch.setattr(pauses, "session_clock", lambda: now[0])
    told: list[Notice] = []
    with serving(lambda *_: CannedReply(status=503)) as fake:
        judge = judge_at(fake, tmp_path, told, max_retries=1, pause_after=3)
        assert outcomes(rule(judge, answers(6))) == ["failed", *["silent"] * 5]
        assert fake.calls == 3
        assert outcomes(rule(judge, answers(6))) == ["silent"] * 6
        assert fake.calls == 3, "no requests in a pause"
        now[0] += pauses.FIRST_PAUSE_SECONDS + 1
        assert outcomes(rule(judge, answers(6))) == ["silent"] * 6
        assert fake.calls == 4, "one request probes"
        assert [notice.state for notice in told] == ["raised"]
        now[0] += 2 * pauses.FIRST_PAUSE_SECONDS + 1
        fake.reply = lambda *_: CannedReply()
        assert outcomes(rule(judge, answers(6))) == ["judged"] * 6
    assert [notice.state for notice in told[1:]] == ["cleared"]


def test_an_evaluation_waits_for_a_judge_that_pauses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pauses, "FIRST_PAUSE_SECONDS", 0.2)
    with serving(lambda number, _: CannedReply(status=502) if number < 3 else CannedReply()) as fake:
        judge = judge_at(fake, tmp_path, max_retries=3, pause_after=2, concurrency=2)
        assert outcomes(rule(judge, answers(6), patience=20)) == ["judged"] * 6


def test_an_endpoint_that_does_not_listen(tmp_path: Path) -> None:
    with serving() as fake:
        pass
    judge = judge_at(fake, tmp_path, pause_after=2, max_retries=0)
    assert outcomes(rule(judge, answers(4))) == ["failed", "failed", "silent", "silent"]
    with pytest.raises(UserError, match=r"http://127\.0\.0\.1:.*refused; start it"):
        judge_at(fake, tmp_path).check()


@pytest.mark.parametrize(
    ("status", "remedy"),
    [(401, "judge.api_key_env"), (403, "judge.api_key_env"), (404, "judge.base_url"), (302, "judge.base_url")],
)
def test_a_wrong_key_or_address_is_reported_at_once(tmp_path: Path, status: int, remedy: str) -> None:
    told: list[Notice] = []
    said = CannedReply(status=status, body=b'{"error": {"message": "no\\nsuch \\u001b[31mthing"}}')
    said.headers = {"Location": "http://127.0.0.1:1/elsewhere"} if status == 302 else {}
    with serving(lambda *_: said) as fake:
        with pytest.raises(UserError) as caught:
            judge_at(fake, tmp_path).check()
        message = str(caught.value)
        assert f"{status}: no such [31mthing" in message.replace("  ", " ")
        assert remedy in message
        assert fake.calls == 1
        later = judge_at(fake, tmp_path, told)  # the key was withdrawn during the run
        assert outcomes(rule(later, answers(5))) == ["silent"] * 5
        assert fake.calls == 2
        assert outcomes(rule(later, answers(5))) == ["silent"] * 5
    assert [notice.state for notice in told] == ["raised"]
    assert "disabled" in told[0].message


def test_a_budget_of_calls_holds_to_the_end_of_the_run(tmp_path: Path) -> None:
    told: list[Notice] = []
    with serving() as fake:
        judge = judge_at(fake, tmp_path, told, max_calls=4, concurrency=3)
        ruled = outcomes(rule(judge, answers(7)))  # which four depends on the threads
        assert sorted(ruled) == ["judged"] * 4 + ["silent"] * 3
        assert outcomes(rule(judge, answers(7))) == ruled
        resumed = judge_at(fake, tmp_path, told, max_calls=4)
        assert outcomes(rule(resumed, answers(7))) == ruled
        assert fake.calls == 4
        more = judge_at(fake, tmp_path, max_calls=6)
        assert sorted(outcomes(rule(more, answers(7)))) == ["judged"] * 6 + ["silent"]
    assert len(told) == 2, "once a session"
    assert all("judge.max_calls = 4" in notice.message for notice in told)


def test_retries_and_failures_count_in_the_budget(tmp_path: Path) -> None:
    with serving(lambda *_: CannedReply("no")) as fake:
        judge = judge_at(fake, tmp_path, max_calls=5, max_retries=2)
        assert outcomes(rule(judge, answers(4))) == ["failed", "silent", "silent", "silent"]
        assert fake.calls == 5
        assert judge_at(fake, tmp_path).take_counts()["calls"] == 5


def test_a_budget_of_tokens(tmp_path: Path) -> None:
    with serving() as fake:
        judge = judge_at(fake, tmp_path, max_tokens=250)
        assert outcomes(rule(judge, answers(5))) == ["judged"] * 3 + ["silent"] * 2


def test_a_stop_does_not_wait_for_replies_and_keeps_marks(tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def check() -> None:
        if fake.calls >= 3:
            raise Stopped

    let_go, waited_for = threading.Event(), threading.Event()

    def reply(number: int, _: object) -> CannedReply:
        if number >= 2 and not let_go.wait(60):
            waited_for.set()
        return CannedReply()

    with serving(reply) as fake:
        judge = judge_at(fake, tmp_path, timeout_seconds=90.0)
        with pytest.raises(Stopped):
            rule(judge, answers(5), check)
        let_go.set()
        assert not waited_for.is_set()
        rule(judge_at(fake, tmp_path), answers(2))
        assert fake.calls == 3


def test_a_full_disk_loses_no_marks(tmp_path: Path) -> None:
    told: list[Notice] = []
    folder = tmp_path / "run"
    with serving() as fake:
        judge = judge_at(fake, folder, told)
        judge.check()
        folder.mkdir()
        (folder / "judge.jsonl").mkdir()  # so the file cannot be opened
        assert outcomes(rule(judge, answers(2))) == ["judged"] * 2
        (folder / "judge.jsonl").rmdir()
        assert outcomes(rule(judge, answers(2))) == ["judged"] * 2
        assert [notice.state for notice in told] == ["raised", "cleared"]
        assert len((folder / "judge.jsonl").read_text().splitlines()) == 3
        assert fake.calls == 3


def test_the_check_is_paid_for_once(tmp_path: Path) -> None:
    with serving(lambda number, _: CannedReply("hm") if number == 0 else CannedReply()) as fake:
        judge_at(fake, tmp_path).check()
        assert fake.calls == 2, "one reply without marks is retried"
    judge_at(fake, tmp_path).check()  # a resumed run starts without the endpoint


def test_the_key_is_sent_and_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Notice] = []
    config = {"model": "j", "api_key_env": "JUDGE_KEY_OF_TESTS", "max_retries": 0, "pause_after": 1}
    echo = CannedReply(status=500, body=json.dumps({"error": {"message": f"key {KEY} is overloaded"}}).encode())
    with serving() as fake:
        asked = JudgeConfig(base_url=fake.url, **config)
        with pytest.raises(UserError, match="JUDGE_KEY_OF_TESTS, found none"):
            open_judge(asked, tmp_path / "judge.jsonl")
        monkeypatch.setenv("JUDGE_KEY_OF_TESTS", f"{KEY}\nX-Evil: 1")
        with pytest.raises(UserError) as caught:
            open_judge(asked, tmp_path / "judge.jsonl")
        assert KEY not in str(caught.value)
        monkeypatch.setenv("JUDGE_KEY_OF_TESTS", f" {KEY}\n")
        judge = open_judge(asked, tmp_path / "judge.jsonl", notify=told.append)
        rule(judge, answers(1))
        fake.reply = lambda *_: echo
        (failed,) = rule(judge, answers(1, first=3))
        fake.reply = lambda *_: CannedReply(f"your key is {KEY}")
        (bad,) = rule(Judge(asked, tmp_path / "other.jsonl", key=KEY), answers(1, first=4))
        assert fake.authorizations == [f"Bearer {KEY}"] * 4
    said = [failed.why, bad.why, *(notice.message for notice in told)]
    assert len(said) == 3
    assert "key … is overloaded" in failed.why
    assert all(KEY not in text for text in said)
    assert all(KEY not in file.read_text() for file in tmp_path.iterdir())


def test_cache_only(tmp_path: Path) -> None:
    with serving() as fake:
        rule(judge_at(fake, tmp_path), answers(1))
        config = JudgeConfig(base_url=fake.url, model="j", api_key_env="NOT_SET_IN_TESTS")
        silent = open_judge(config, tmp_path / "judge.jsonl", sends_requests=False)
        assert outcomes(rule(silent, answers(2))) == ["judged", "silent"]
        assert fake.calls == 1
