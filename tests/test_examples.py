"""What lies in examples/: the notebook's calls exist and run, the verl function pays what the rewards pay."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from thinkaloud import api

EXAMPLES = Path(__file__).parents[1] / "examples"
NOTEBOOK: dict[str, Any] = json.loads((EXAMPLES / "kaggle.ipynb").read_text(encoding="utf-8"))
CODE = [cell["source"] for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code" and cell["source"][0] != "%"]


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_notebook_is_one() -> None:
    assert (NOTEBOOK["nbformat"], NOTEBOOK["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in NOTEBOOK["cells"]}) == len(NOTEBOOK["cells"])
    assert all(cell["outputs"] == [] for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code")


def test_the_notebook_calls_what_there_is() -> None:
    used = {
        node.attr
        for source in CODE
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "api"
    }
    assert used == {"load_recipe", "build_pool", "train", "evaluate"}
    assert used <= set(api.__all__)


def test_the_notebook_names_what_a_clone_beside_it_holds() -> None:
    """The package is in no registry: what is installed and read is in the folder `repository`."""
    (install,) = (cell["source"] for cell in NOTEBOOK["cells"] if cell["source"].startswith("%"))
    assert install == "%pip install --quiet ./repository"
    named = [text for source in CODE for text in re.findall(r'"repository/([^"]+)"', source)]
    assert named
    assert all((EXAMPLES.parent / text).is_file() for text in [*named, "pyproject.toml"])


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its code as it stands, on the tiny recipe cut short."""
    tiny = EXAMPLES.parent / "recipes" / "tiny.toml"
    real = api.load_recipe
    small = ("cold_start.max_steps=0", "grpo.max_steps=1", "rollout.max_new_tokens=8", "data.domains=['math']")
    monkeypatch.setattr(api, "load_recipe", lambda path, *overrides: real(tiny, *small, "evaluate.tasks_per_domain=1"))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for source in CODE:
        exec(source, names)
    assert (tmp_path / "runs" / "notebook" / "export" / "hf-bfloat16" / "model.safetensors").exists()
    assert names["reply"].num_tokens >= 1


def test_verl() -> None:
    score = example("verl_reward").compute_score
    right = "<reasoning>Seventeen and twenty-five make 42.</reasoning>\n<answer>42</answer>"
    assert score("math", right, "42", {"question": "What is 17 + 25?"}) == pytest.approx(1.0)
    assert score("math", right, "43", {"question": "What is 17 + 25?"}) == pytest.approx(0.2)
    assert score("math", "42", "42", {"question": "What is 17 + 25?"}) == 0.0
