"""examples/verifiers_task.py, scored by verifiers itself where it is installed (it is in no environment of ours)."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

trace_module: Any = pytest.importorskip(
    "verifiers.v1.trace",
    reason="verifiers is not installed: `pip install verifiers==0.4.0` into an environment of its own (it needs openai "
    "below 3, the peers' environment has 3)",
)
sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

RIGHT = "<reasoning>Seventeen and twenty-five make 42.</reasoning>\n<answer>42</answer>"


def reward_of(gold: str, text: str) -> float:
    from verifiers_task import ThinkaloudData, ThinkaloudTask

    data = ThinkaloudData(prompt="17 + 25?", domain="math", question="17 + 25?", answer=gold)
    task = trace_module.TraceTask(type="ThinkaloudTask", data=data)
    trace = trace_module.Trace(task=task, agent=trace_module.AgentInfo.model_construct(), root_reply=text)
    asyncio.run(ThinkaloudTask(data).score(trace))
    return float(trace.reward)


def test_paid_as_thinkaloud_pays() -> None:
    assert reward_of("42", RIGHT) == pytest.approx(1.0)
    assert reward_of("43", RIGHT) == pytest.approx(0.2)
    assert reward_of("42", "42") == 0.0


def test_what_cannot_be_scored_is_an_error_and_not_nothing() -> None:
    with pytest.raises(Exception, match="no reward: the gold answer is empty"):
        reward_of("", RIGHT)
