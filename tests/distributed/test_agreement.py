"""Agreement between processes, here threads with a store in memory: values, records, errors."""

from __future__ import annotations

import errno
import json
import math
import signal
import time
from contextlib import suppress
from typing import Any

import pytest

from support.store import MemoryStore, together
from thinkaloud.distributed.agreement import (
    PART_BYTES,
    Processes,
    decode,
    encode,
    from_first,
    gather,
    own_rows,
    require_same,
    share,
    shared_clock,
)
from thinkaloud.durations import session_clock
from thinkaloud.errors import ContractMismatch, ProcessLost, UserError
from thinkaloud.pipeline.deadline import Plan, Reserve
from thinkaloud.pipeline.stopping import Stop, StopRequested
from thinkaloud.records import Completion, Finish, RolloutGroup, Score, Status, Task

TASK = Task(id="1", domain="math", source="s", question="q", answer="a", tests=("x", "y"))
GROUP = RolloutGroup(
    task=TASK,
    prompt_ids=(1, 2),
    completions=(Completion(text="é\ud800", token_ids=(3, 4), logprobs=(-0.1 - 0.2, -1e-17), finish=Finish.LENGTH),),
    scores=(Score(reward=1 / 3, status=Status.GRADED, components={"length": 2 / 3}, explanation="long"),),
    advantages=(0.1,),
)


def test_all_processes_get_the_values_of_each_and_the_result_of_the_first() -> None:
    large = "é" * PART_BYTES  # several parts

    def work(processes: Processes) -> Any:
        index = processes.index
        return processes.gather(index * 10), processes.from_first(lambda: f"{index} {large}"), processes.gather(large)

    for end in together(3, work):
        assert end.result() == ([0, 10, 20], f"0 {large}", [large] * 3)


def test_values_that_all_have_read_are_deleted() -> None:
    store = MemoryStore()

    def work(processes: Processes) -> None:
        for step in range(20):
            processes.from_first(lambda step=step: step)
            processes.gather("x")

    for end in together(3, work, store):
        end.result()
    assert len(store.values) == 2 * 3  # of the last exchange: value and number of parts


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ([GROUP, GROUP], list[RolloutGroup]),
        (None, Plan | None),
        (Plan(1, 9, 0.1 + 0.2, 7.5, Reserve(0.1, 0.2, 0.3, 0.4), "steps take 0.3 s"), Plan | None),
        (signal.SIGHUP, signal.Signals | None),
        ({"loss": 1e-300 / 3, "kl": None, "domains": {"math": [1, 2.0]}}, Any),
        ((math.inf, -0.0), tuple[float, ...]),
    ],
)
def test_records_arrive_with_every_bit(value: Any, kind: Any) -> None:
    found = decode(json.loads(json.dumps(encode(value, kind))), kind)
    assert found == value
    assert repr(found) == repr(value)  # types, and the sign of zero


def test_a_value_that_json_does_not_have_is_not_sent() -> None:
    with pytest.raises(TypeError):
        Processes(0, 2, MemoryStore()).from_first(lambda: GROUP)
    numbers = [end.result() for end in together(2, lambda processes: processes.gather(math.nan))]
    assert all(math.isnan(number) for found in numbers for number in found)


def test_the_clock_is_that_of_the_primary_process_at_the_last_exchange() -> None:
    before = session_clock()

    def work(processes: Processes) -> list[float]:
        clocks = []
        for exchange in (lambda: processes.gather(None), lambda: processes.from_first(lambda: None)):
            exchange()
            clocks.append(processes.clock)
            time.sleep(0.01 * processes.index)
        return [*clocks, processes.clock]

    first, *others = [end.result() for end in together(3, work)]
    assert others == [first, first]
    assert before < first[0] < first[1] == first[2] < session_clock()


def test_the_clock_of_a_single_process_goes_on() -> None:
    processes = Processes()
    assert session_clock() <= processes.clock <= session_clock()
    assert shared_clock() <= shared_clock() <= session_clock()


def test_an_error_of_the_first_brings_its_clock() -> None:
    def work(processes: Processes) -> float:
        with suppress(UserError):
            processes.from_first(_fail)
        return processes.clock

    clocks = [end.result() for end in together(3, work)]
    assert clocks == [clocks[0]] * 3
    assert clocks[0] > 0


def _fail() -> None:
    raise UserError("no space; free some")


def test_within_the_work_of_the_first_it_is_alone() -> None:
    ends = together(
        2, lambda processes: processes.from_first(lambda: [processes.alone, processes.gather(processes.index)])
    )
    assert [end.result() for end in ends] == [[True, [0]]] * 2


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (UserError("no space; free some"), UserError("no space; free some")),
        (ContractMismatch("another tokenizer", "a diff"), UserError("another tokenizer")),
        (OSError(errno.ENOSPC, "disk full"), OSError(errno.ENOSPC, "disk full")),
        (StopRequested(signal.SIGTERM), StopRequested(signal.SIGTERM)),
    ],
)
def test_an_error_of_the_first_is_raised_in_all(error: Exception, expected: Exception) -> None:
    def fail() -> None:
        raise error

    first, *others = together(3, lambda processes: processes.from_first(fail, raises=(StopRequested,)))
    assert first.exception() is error
    for end in others:
        found = end.exception()
        assert type(found) is type(expected)
        assert (found.args, str(found)) == (expected.args, str(expected))


def test_a_signal_to_one_process_stops_all() -> None:
    output: list[str] = []

    def work(processes: Processes) -> signal.Signals | None:
        def first_signal(own: signal.Signals | None) -> signal.Signals | None:
            return next((one for one in processes.gather(own, signal.Signals | None) if one is not None), None)

        stop = Stop(output.append, agree=first_signal)
        stop.check()
        if processes.index == 1:
            stop.receive(signal.SIGTERM)
        return stop.asked()

    assert [end.result() for end in together(3, work)] == [signal.SIGTERM] * 3
    assert sum(line.startswith("SIGTERM: stopping") for line in output) == 1
    assert sum("another process received SIGTERM" in line for line in output) == 2


def test_a_process_that_waits_notices_that_another_was_lost() -> None:
    def check() -> None:
        raise ProcessLost("process 1 is gone")

    with pytest.raises(ProcessLost, match="process 1 is gone"):
        Processes(0, 2, MemoryStore(), check).gather(1)


def test_a_lost_connection_to_the_store_is_a_lost_process_0() -> None:
    store = MemoryStore()
    store.broken = "UNAVAILABLE: Socket closed"
    with pytest.raises(ProcessLost, match="process 0 is gone"):
        Processes(1, 2, store).from_first(lambda: 1)


def test_one_process_does_everything() -> None:
    assert own_rows(5) == range(5)
    assert share(3, lambda rows: [row * 2 for row in rows]) == [0, 2, 4]
    assert gather("x") == ["x"]
    assert from_first(lambda: {1, 2}) == {1, 2}


def test_rows_are_shared_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = []
    for index in range(3):
        monkeypatch.setattr("thinkaloud.distributed.agreement._processes", Processes(index, 3))
        parts.append(list(own_rows(7)))
    assert parts == [[0, 1, 2], [3, 4], [5, 6]]


def test_a_setting_that_differs_is_named_with_both_values() -> None:
    same = {"grpo.max_steps": 5, "seed": 1}
    require_same([same, dict(same)])
    with pytest.raises(UserError) as error:
        require_same([same, same, {**same, "grpo.max_steps": 7}])
    assert all(word in str(error.value) for word in ("process 2", "grpo.max_steps", "expected 5", "found 7"))
