"""Several processes, here threads: connection, exchange of values, and failures."""

from __future__ import annotations

import random
import re
import signal
import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from thinkaloud.distributed.team import Link, Team, TeamError, gather, meet, own_rows, share
from thinkaloud.errors import ContractMismatch, UserError
from thinkaloud.pipeline.stopping import Stop, StopRequested


def free_address() -> str:
    """Below the ports that systems give to whoever connects: one of those could be connected to itself."""
    while True:
        port = random.randrange(10_000, 16_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return f"127.0.0.1:{port}"


def run(works: Sequence[Callable[[], Any]]) -> list[Future[Any]]:
    with ThreadPoolExecutor(len(works)) as pool:
        return [pool.submit(work) for work in works]


def together(count: int, work: Callable[[Team], Any]) -> list[Future[Any]]:
    """What `work` gives in each of `count` processes of a team."""
    address = free_address()

    def one(index: int) -> Any:
        team = meet(address, count, index, {"a": (1, 2)}, seconds=60)
        try:
            return work(team)
        finally:
            team.leave()

    return run([partial(one, index) for index in range(count)])


def refusals(*hellos: tuple[int, int, dict[str, Any]], seconds: float = 60.0) -> list[str]:
    """What each of some processes is told that cannot work together."""
    address = free_address()
    works = [partial(meet, address, count, index, settings, seconds=seconds) for index, count, settings in hellos]
    ends = run(works)
    errors = [end.exception() for end in ends]
    assert all(isinstance(error, UserError) for error in errors), errors
    return [str(error) for error in errors]


def test_all_hear_what_each_has_and_what_the_first_finds() -> None:
    large = "x" * 3_000_000  # more than any buffer between them holds

    def work(team: Team) -> Any:
        return team.gather(team.index * 10), team.from_first(lambda: f"{team.index} {large}"), team.gather(large)

    for end in together(3, work):
        assert end.result() == ([0, 10, 20], f"0 {large}", [large] * 3)


def test_within_the_work_of_the_first_it_is_alone() -> None:
    ends = together(2, lambda team: team.from_first(lambda: (team.alone, team.gather(team.index))))
    assert [end.result() for end in ends] == [(True, [0]), (True, [0])]


def test_what_the_first_raises_is_raised_in_all() -> None:
    def work(team: Team) -> list[signal.Signals]:
        def stop() -> None:
            raise StopRequested(signal.SIGTERM)

        with pytest.raises(StopRequested) as stopped:
            team.from_first(stop)
        return team.gather(stopped.value.signal)

    assert [end.result() for end in together(2, work)] == [[signal.SIGTERM] * 2] * 2


def test_a_signal_to_one_is_one_to_all() -> None:
    output: list[str] = []

    def work(team: Team) -> signal.Signals | None:
        stop = Stop(
            output.append, agree=lambda asked: next((one for one in team.gather(asked) if one is not None), None)
        )
        stop.check()
        if team.index == 1:
            stop.receive(signal.SIGTERM)
        return stop.asked()

    assert [end.result() for end in together(3, work)] == [signal.SIGTERM] * 3
    assert sum(line.startswith("SIGTERM: stopping") for line in output) == 1
    assert sum("another process received SIGTERM" in line for line in output) == 2


def test_one_process_does_everything() -> None:
    assert own_rows(5) == range(5)
    assert share(3, lambda rows: [row * 2 for row in rows]) == [0, 2, 4]
    assert gather("x") == ["x"]
    assert meet("localhost:1", 1, 0, {}).alone


def test_rows_are_shared_out_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = []
    for index in range(3):
        monkeypatch.setattr("thinkaloud.distributed.team._team", Team(index, 3, []))
        parts.append(list(own_rows(7)))
    assert parts == [[0, 1, 2], [3, 4], [5, 6]]


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_the_reason_of_one_that_ends_reaches_all(failing: int) -> None:
    def work(team: Team) -> None:
        try:
            if team.index == failing:
                raise UserError("the scratch disk is full")
            team.gather("x" * 1_000_000)
        except TeamError as error:
            team.leave(str(error))
            raise
        except UserError as error:
            team.leave(f"process {failing} ended: {error}")
            raise

    output = [str(end.exception()) for end in together(3, work)]
    told = f"process {failing} ended: the scratch disk is full"
    assert output == ["the scratch disk is full" if index == failing else told for index in range(3)]


def test_an_error_that_cannot_be_sent_ends_the_first_alone() -> None:
    def work(team: Team) -> None:
        def fail() -> None:
            raise ContractMismatch("another tokenizer", "a diff")  # takes two arguments: not to be unpickled

        try:
            team.from_first(fail)
        except UserError as error:
            team.leave(str(error))
            raise

    first, second = (end.exception() for end in together(2, work))
    assert isinstance(first, ContractMismatch)
    assert isinstance(second, TeamError)
    assert str(second) == "another tokenizer"


@pytest.mark.parametrize("gone", [0, 1])
def test_one_that_is_gone_without_a_word_is_named(gone: int) -> None:
    def work(team: Team) -> None:
        if team.index != gone:
            try:
                team.gather(1)
            finally:
                team.leave("the other is gone")

    remaining = together(2, work)[1 - gone].exception()
    assert isinstance(remaining, TeamError)
    assert str(remaining).startswith(f"process {gone} is gone")


def test_those_that_do_not_come_are_named() -> None:
    first, _ = refusals((0, 4, {}), (2, 4, {}), seconds=1.0)
    assert re.match(r"process 1, (2, )?3 of 4 did not connect to 127.0.0.1:\d+ within 1 s", first)  # 2 may be slow
    (alone,) = refusals((1, 2, {}), seconds=0.2)
    assert alone.startswith("process 0 did not answer at 127.0.0.1:")
    assert "within 0 s" in alone


def test_those_that_were_started_otherwise_are_told_in_what() -> None:
    both = refusals((0, 2, {"grpo.max_steps": 5, "seed": 1}), (1, 2, {"grpo.max_steps": 7, "seed": 1}))
    assert both[0] == both[1]
    assert all(word in both[0] for word in ("process 1", "grpo.max_steps", "expected 5", "found 7"))
    counts = refusals((0, 2, {}), (1, 3, {}))
    assert all(word in one for one in counts for word in ("--num-processes 2", "found 3", "process 1"))
    three = refusals((0, 3, {}), (1, 3, {}), (1, 3, {}))
    assert ["a second process 1" in one for one in three] == [True] * 3


@pytest.mark.parametrize(
    ("hello", "told"),
    [
        (("host", 2, 0), "expected HOST:PORT"),
        (("host:99999", 2, 0), "expected HOST:PORT"),
        (("host:1", 2, 2), "expected 0 to 1"),
        (("host:1", 2, -1), "expected 0 to 1"),
    ],
)
def test_places_that_cannot_be_are_one_line(hello: tuple[str, int, int], told: str) -> None:
    with pytest.raises(UserError) as error:
        meet(*hello, {})
    assert told in str(error.value)


def test_a_port_that_is_taken_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(UserError, match=f"cannot listen at {address}"):
            meet(address, 2, 0, {})


def test_strangers_at_the_port_are_passed_over() -> None:
    address = free_address()
    host, _, port = address.rpartition(":")

    def strangers() -> Team:
        for text in (b"GET / HTTP/1.1\r\n\r\n", b"M" + bytes(7) + b"\x02[]", b"M" + b"\xff" * 8, b""):
            while True:
                try:
                    with socket.create_connection((host, int(port))) as stranger:
                        stranger.sendall(text)
                        stranger.shutdown(socket.SHUT_WR)
                        while stranger.recv(1 << 16):  # a challenge, then the door
                            pass
                        break
                except ConnectionRefusedError:
                    time.sleep(0.05)
                except OSError:  # closed early
                    break
        return meet(address, 2, 1, {}, seconds=60)

    teams = [end.result() for end in run([lambda: meet(address, 2, 0, {}, seconds=60), strangers])]
    assert [team.count for team in teams] == [2, 2]
    for team in teams:
        team.leave()


def test_only_who_knows_the_key_is_let_in_and_nothing_of_others_is_unpickled() -> None:
    address = free_address()

    def stranger_then_one_of_ours() -> Team:
        with pytest.raises(TeamError, match=r"another key.*THINKALOUD_TEAM_KEY"):
            meet(address, 2, 1, {}, key=b"guessed", seconds=60)
        return meet(address, 2, 1, {}, key=b"known", seconds=60)

    first, other = run([lambda: meet(address, 2, 0, {}, key=b"known", seconds=60), stranger_then_one_of_ours])
    teams = [first.result(), other.result()]
    assert [end.result() for end in run([partial(team.gather, team.index) for team in teams])] == [[0, 1]] * 2
    for team in teams:
        team.leave()


def test_a_process_0_that_does_not_know_the_key_is_not_believed() -> None:
    address = free_address()
    host, _, port = address.rpartition(":")

    def pretend() -> None:
        with socket.create_server((host, int(port))) as server:
            link = Link(server.accept()[0], "a process")
            link.send(bytes(32))
            for _ in range(3):
                link.receive()
            link.send(bytes(32))
            link.leave(0.0)

    pretended, called = run([pretend, lambda: meet(address, 2, 1, {}, key=b"known", seconds=60)])
    assert pretended.exception() is None
    assert "another key" in str(called.exception())


def test_those_that_came_with_another_key_are_counted() -> None:
    address = free_address()
    works = [partial(meet, address, 2, index, {}, key=key, seconds=3) for index, key in ((0, b"a"), (1, b"b"))]
    first, other = (str(end.exception()) for end in run(works))
    assert "did not connect" in first
    assert "rejected 1 with another THINKALOUD_TEAM_KEY" in first
    assert "another key" in other
