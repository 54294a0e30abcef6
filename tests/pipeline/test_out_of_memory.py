"""Running out of memory gives one line that names the settings to change."""

from __future__ import annotations

from typing import Any

import pytest

from thinkaloud.cli import exits
from thinkaloud.errors import out_of_memory


def allocate_too_much(**_: Any) -> None:
    import jax.numpy as jnp

    jnp.zeros((1 << 50,), jnp.float32).block_until_ready()


def host_runs_out(**_: Any) -> None:
    bytearray(1 << 60)


@pytest.mark.parametrize("command", [allocate_too_much, host_runs_out])
def test_a_command_that_runs_out_of_memory_says_what_to_set(command: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        exits.run(command)
    assert end.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith("error: out of memory")
    assert told.count("\n") == 1
    for field in (
        "rollout.prompts_per_step",
        "rollout.group_size",
        "rollout.max_new_tokens",
        "grpo.minibatches",
        "model.rematerialization",
    ):
        assert field in told


def test_other_errors_are_left_as_they_are() -> None:
    assert out_of_memory(ValueError("RESOURCE_EXHAUSTED")) is None
    with pytest.raises(ZeroDivisionError):
        exits.run(lambda **_: 1 // 0)
