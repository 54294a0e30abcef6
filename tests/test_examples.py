"""What lies in examples/ beside the notebooks: the verl function pays what the rewards pay."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_verl() -> None:
    score = example("verl_reward").compute_score
    right = "<reasoning>Seventeen and twenty-five make 42.</reasoning>\n<answer>42</answer>"
    assert score("math", right, "42", {"question": "What is 17 + 25?"}) == pytest.approx(1.0)
    assert score("math", right, "43", {"question": "What is 17 + 25?"}) == pytest.approx(0.2)
    assert score("math", "42", "42", {"question": "What is 17 + 25?"}) == 0.0
