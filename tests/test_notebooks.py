"""The notebooks in examples/: valid, their commands and calls exist, and the quickstart runs from top to bottom."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
import typer

from thinkaloud import api
from thinkaloud.cli import app

EXAMPLES = Path(__file__).parents[1] / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))
COMMANDS: Any = typer.main.get_command(app)
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells(path: Path, kind: str) -> list[Any]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind]


def python(source: str) -> str:
    """A cell with `pass` in place of IPython's magics and shell commands."""
    return re.sub(r"^( *)[%!].*", r"\1pass", source, flags=re.MULTILINE)


def code(path: Path) -> list[str]:
    return [python(cell.source) for cell in cells(path, "code")]


def commands(path: Path) -> Iterator[list[str]]:
    """The words of each `thinkaloud` command, with the values that the cells before it give to its variables."""
    found, names = cells(path, "code"), dict[str, Any]()
    last = max((place for place, cell in enumerate(found) if "!thinkaloud" in cell.source), default=-1)
    for cell in found[: last + 1]:
        for line in re.findall(r"^ *!thinkaloud (.+)", cell.source, re.MULTILINE):
            yield shlex.split(line.format(**names))
        exec(python(cell.source), names)


def calls(path: Path) -> Iterator[tuple[Any, ast.Call]]:
    """Each call of a function of `api` or a method of a `Run`, with what is called."""
    for source in code(path):
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                owner, name = node.func.value, node.func.attr
                if isinstance(owner, ast.Name) and owner.id in ("api", "run"):
                    yield getattr(api if owner.id == "api" else api.Run, name), node


def test_there_are_two() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["kaggle_gemma3_1b", "quickstart"]


@each_notebook
def test_it_is_valid_and_compiles(path: Path) -> None:
    notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert notebook.nbformat == 4
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    for source in code(path):
        compile(source, path.name, "exec")


@each_notebook
def test_its_commands_are_accepted(path: Path) -> None:
    for name, *words in commands(path):
        COMMANDS.commands[name].make_context(name, words)  # raises a usage error


@each_notebook
def test_its_calls_have_arguments_that_exist(path: Path) -> None:
    found = list(calls(path))
    assert found
    for function, call in found:
        positional = [None] * (len(call.args) + ("self" in inspect.signature(function).parameters))
        inspect.signature(function).bind(*positional, **{str(keyword.arg): None for keyword in call.keywords})


def test_the_kaggle_notebook_has_what_a_night_needs() -> None:
    (path,) = [path for path in NOTEBOOKS if path.stem == "kaggle_gemma3_1b"]
    used = list(commands(path))
    assert [words[0] for words in used] == ["audit", "train"]
    assert all(words[words.index("--deadline") + 1] == "8h30m" for words in used)
    assert "model.source=kaggle:google/gemma-3/transformers/gemma-3-1b-it" in used[1]
    first = cells(path, "markdown")[0].source
    assert "Not executed" in first
    assert all(cell.outputs == [] for cell in cells(path, "code"))


def test_the_quickstart_shows_outputs_of_one_run_from_top_to_bottom() -> None:
    found = cells(EXAMPLES / "quickstart.ipynb", "code")
    assert [cell.execution_count for cell in found] == list(range(1, len(found) + 1))
    outputs = [output for cell in found for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert "one run of the recipe `starter`" in cells(EXAMPLES / "quickstart.ipynb", "markdown")[0].source
    assert "'starter'" in found[0].outputs[0]["data"]["text/plain"]


@pytest.mark.slow
def test_the_quickstart_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its code as it stands, on the tiny recipe cut short."""
    real = api.load_recipe
    small = ("cold_start.max_steps=0", "grpo.max_steps=1", "rollout.max_new_tokens=8", "data.domains=['math']")
    monkeypatch.setattr(api, "load_recipe", lambda path, *more: real(path, *small, "evaluate.tasks_per_domain=1"))
    monkeypatch.setenv("QUICKSTART_RECIPE", "tiny")
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for source in code(EXAMPLES / "quickstart.ipynb"):
        exec(source, names)
    assert list(tmp_path.glob("runs/quickstart-tiny/export/peft*/adapter_model.safetensors"))
    assert names["rates"].stage.tolist()[-1] == "trained"
