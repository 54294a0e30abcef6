"""Rows of an evaluation."""

from __future__ import annotations

from typing import Any

from thinkaloud.evaluate.rows import Row


def row(task_id: str = "t", domain: str = "math", status: str = "correct", **changes: Any) -> Row:
    """A completion of a math task: correct, with the reward that its status earns."""
    values: dict[str, Any] = {
        "task_id": task_id,
        "domain": domain,
        "source": "starter",
        "question": "2 + 2?",
        "gold": "4",
        "text": "<reasoning>two and two</reasoning><answer>4</answer>",
        "finish": "stop",
        "num_tokens": 20,
        "reward": 1.0 if status == "correct" else 0.2,
        "status": status,
        "reason": None,
        "components": "{}",
        "explanation": "",
    }
    return Row(**{**values, **changes})
