"""Imports go one way, and light commands load light modules."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import resolve_name
from pathlib import Path

import pytest

import thinkaloud

PACKAGE = Path(thinkaloud.__file__).parent
LAYERS = (
    *("errors", "records", "seeding", "durations"),
    *("config", "storage", "fetch", "prompt", "sandbox", "domains", "rewards", "data", "init"),
    *("distributed", "model", "checkpoint", "judge", "rollout", "session", "tracking"),
    *("evaluate", "export", "inference", "train", "audit", "report", "pipeline", "api", "bench", "cli"),
)
"""From the bottom up. A part imports from layers below its own, never from beside or above."""

DEPTH = {part: depth for depth, part in enumerate(LAYERS)}
MAY_LOAD_JAX = set(LAYERS[LAYERS.index("distributed") :])
HEAVY = (
    "jax",
    "optax",
    "safetensors",
    "matplotlib",
    "pyarrow",
    "sympy",
    "math_verify",
    "transformers",
    "torch",
    "datasets",
    "tunix",
    "openai",
    "starlette",
    "uvicorn",
)


@dataclass(frozen=True)
class Module:
    """A module of the package: its dotted name below `thinkaloud`, and what it imports, dotted and absolute."""

    name: str
    imports: tuple[str, ...]

    @property
    def part(self) -> str:
        return self.name.split(".")[0]


def sources() -> list[Module]:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        package = ".".join(["thinkaloud", *parts[:-1]])
        name = ".".join(part for part in parts if part != "__init__")
        if name:
            found.append(Module(name, tuple(imported(ast.parse(path.read_text(encoding="utf-8")), package))))
    return found


def imported(tree: ast.AST, package: str) -> Iterator[str]:
    """What a module of `package` imports, within functions too; `if TYPE_CHECKING` imports nothing."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = resolve_name("." * node.level + (node.module or ""), package)
            yield from (f"{start}.{alias.name}" for alias in node.names)
        else:
            yield from imported(node, package)


SOURCES = sources()


def test_every_part_has_its_layer() -> None:
    parts = {module.part for module in SOURCES}
    assert parts <= DEPTH.keys(), f"give {sorted(parts - DEPTH.keys())} a place in LAYERS"


@pytest.mark.parametrize("module", SOURCES, ids=lambda module: module.name)
def test_imports_go_down_only(module: Module) -> None:
    for target in module.imports:
        package, _, rest = target.partition(".")
        other = rest.split(".")[0]
        if package == "thinkaloud" and other not in (module.part, "__version__", ""):
            assert DEPTH[other] < DEPTH[module.part], f"thinkaloud.{module.name} imports {target}"


def test_the_sandbox_stands_alone() -> None:
    for module in SOURCES:
        if module.part == "sandbox":
            ours = [target for target in module.imports if target.startswith("thinkaloud")]
            assert all(target.startswith("thinkaloud.sandbox") for target in ours), (module.name, ours)


def test_the_inside_of_the_sandbox_needs_the_standard_library_alone() -> None:
    for module in SOURCES:
        if module.name.startswith("sandbox.inside"):
            roots = {target.split(".")[0] for target in module.imports} - {"thinkaloud"}
            assert roots <= sys.stdlib_module_names, (module.name, roots)


def test_jax_comes_with_the_model_and_not_before() -> None:
    for module in SOURCES:
        if any(target.split(".")[0] in ("jax", "optax") for target in module.imports):
            assert module.part in MAY_LOAD_JAX, module.name


def loaded(code: str, *arguments: str) -> set[str]:
    """The outermost modules that a fresh interpreter has loaded after running `code`."""
    report = "\nimport json, sys\nprint('LOADED' + json.dumps([name.split('.')[0] for name in sys.modules]))"
    run = subprocess.run(
        [sys.executable, "-c", code + report, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert run.returncode == 0, run.stderr
    return set(json.loads(run.stdout.rpartition("LOADED")[2]))


COMMAND = """
from thinkaloud import cli
try:
    cli.main()
except SystemExit as end:
    assert not end.code, end.code
"""


@pytest.mark.parametrize(
    "code",
    ["import thinkaloud.rewards, thinkaloud.data, thinkaloud.prompt, thinkaloud.config", "import thinkaloud.cli"],
    ids=["packages", "cli"],
)
def test_imports_load_nothing_heavy(code: str) -> None:
    assert not loaded(code) & set(HEAVY)


def test_light_commands_load_nothing_heavy(tmp_path: Path) -> None:
    recipe = str(PACKAGE / "recipes" / "tiny.toml")
    line = {
        "domain": "logic",
        "question": "Is ice cold?",
        "answer": "yes",
        "completion": "<reasoning>It is frozen.</reasoning><answer>Yes</answer>",
    }
    numbers = {**line, "domain": "math", "question": "2 + 2?", "answer": "4"}
    numbers["completion"] = "<reasoning>two and two</reasoning><answer>4.0</answer>"
    (tmp_path / "lines.jsonl").write_text(json.dumps(line) + "\n" + json.dumps(numbers) + "\n")
    for arguments in (
        ["score", str(tmp_path / "lines.jsonl")],
        ["prompt", recipe],
        ["domains"],
        ["train", recipe, "--dry-run"],
    ):
        assert not loaded(COMMAND, *arguments) & set(HEAVY), arguments
    (tmp_path / "sums.csv").write_text("question,answer\n" + "".join(f"What is {n} + 1?,{n + 1}\n" for n in range(9)))
    arguments = ["init", str(tmp_path / "sums.csv"), "--model", "tiny", "--out", str(tmp_path / "sums.toml")]
    assert "jax" not in loaded(COMMAND, *arguments)


def test_at_most_five_modules_in_the_root() -> None:
    loose = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    assert len(loose) <= 5, loose
