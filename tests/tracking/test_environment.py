"""The description of the machine, and the sums of phase times."""

from __future__ import annotations

import json

import pytest

from thinkaloud.tracking.environment import PhaseTimer, describe_environment


def test_phases_add_up_and_go_on_from_an_earlier_session(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 12.5, 20.0, 21.0])
    monkeypatch.setattr("thinkaloud.tracking.environment.time.perf_counter", lambda: next(clock))
    timer = PhaseTimer({"grpo": 100.0})
    for _ in range(2):
        with timer.phase("grpo"):
            pass
    assert timer.seconds == {"grpo": 103.5}


def test_a_phase_that_fails_counts_too() -> None:
    timer = PhaseTimer()
    with pytest.raises(KeyError), timer.phase("grpo"):
        raise KeyError
    assert timer.seconds["grpo"] >= 0


@pytest.mark.parametrize("damaged", [None, 3, [1], "x", {"grpo": "long"}, {"grpo": None}])
def test_a_damaged_record_counts_as_none(damaged: object) -> None:
    assert PhaseTimer(damaged).seconds == {}


def test_the_description_is_json_with_plausible_numbers() -> None:
    found = json.loads(json.dumps(describe_environment("strong", {"grpo": 1.234}), allow_nan=False))
    assert found["sandbox_level"] == "strong"
    assert found["seconds"] == {"grpo": 1.23}
    assert 0.05 < found["peak_memory_gb"] < 100
    assert found["cores"] >= 1
    assert all("/" not in str(value) for value in found.values())  # no paths of this machine
