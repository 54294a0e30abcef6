"""The walk-throughs of CONTRIBUTING.md, carried out as they are written."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from support.cli import one_device
from thinkaloud.config.load import parse_recipe_text

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
WORDS = ("ant", "bee", "cat", "dog", "eel", "fox")


def blocks(heading: str, language: str) -> list[str]:
    """The fenced blocks of a section, without their indentation."""
    section = re.split(r"^## ", GUIDE, flags=re.MULTILINE)
    (text,) = [part for part in section if part.startswith(heading + "\n")]
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(block) for _, block in found]


def tasks() -> str:
    """Lines with sorting tasks, of all splits."""
    rows = []
    for index in range(24):
        items = [WORDS[index % 6], WORDS[(index + 1 + index // 6) % 6]]
        rows.append(
            {
                "question": f"Sort {', '.join(sorted(items, reverse=True))} ({index})",
                "answer": ", ".join(sorted(items)),
                "rationale": "By letter.",
                "split": ("train", "train", "validation", "test")[index % 4],
            }
        )
    return "".join(json.dumps(row) + "\n" for row in rows)


def thinkaloud(*arguments: str, source: Path, folder: Path) -> str:
    """Run a command with the package in `source`; returns stdout."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "thinkaloud.cli", *arguments],
        cwd=folder,
        env=one_device(PYTHONPATH=str(source)),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


SMALL = (
    *("--set", "rollout.max_new_tokens=80", "--set", "cold_start.max_steps=1", "--set", "grpo.max_steps=2"),
    *("--set", "evaluate.tasks_per_domain=1"),
)


def trained(folder: Path, domain: str) -> list[dict[str, object]]:
    """GRPO's rows of a finished run, which trained on `domain` alone."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    steps = [row for row in rows if row["stage"] == "grpo"]
    assert [list(row["domains"]) for row in steps] == [[domain]] * 2
    assert (folder / "report.html").exists()
    return steps


@pytest.mark.slow
def test_a_domain_in_a_recipe_trains_two_steps(tmp_path: Path) -> None:
    heading = "Add a domain to a recipe"
    (scorer,), (sections,) = blocks(heading, "python"), blocks(heading, "toml")
    (tmp_path / "my_scorer.py").write_text(scorer)
    (tmp_path / "tasks.jsonl").write_text(tasks())
    tiny = (ROOT / "recipes" / "tiny.toml").read_text("utf-8")
    recipe = re.sub(r"^\[data\]\ndomains = .*\n", "", tiny, flags=re.MULTILINE)
    (tmp_path / "own.toml").write_text(f"{recipe}\n{sections}")
    shares = ("--set", "data.test_share=0.3", "--set", "data.validation_share=0.2")
    thinkaloud("train", "own.toml", "--out", "run", *SMALL, *shares, source=ROOT / "src", folder=tmp_path)
    assert len(trained(tmp_path / "run", "ordering")) == 2
    again = json.loads(thinkaloud("eval", "run", "--json", source=ROOT / "src", folder=tmp_path))
    assert again["stages"]["trained"]["domains"]["ordering"]["accuracy"] is not None
    assert "ordering" in thinkaloud("domains", "own.toml", source=ROOT / "src", folder=tmp_path)


@pytest.mark.slow
def test_a_domain_in_the_package_trains_two_steps(tmp_path: Path) -> None:
    heading = "Add a domain to the package"
    (module,), (patch,) = blocks(heading, "python"), blocks(heading, "diff")
    package = copied(tmp_path)
    (package / "domains" / "ordering.py").write_text(module)
    (package / "data" / "starter" / "ordering.jsonl").write_text(tasks())
    apply(patch, tmp_path)
    source, recipe = tmp_path / "src", str(ROOT / "recipes" / "tiny.toml")
    assert "ordering" in thinkaloud("domains", source=source, folder=tmp_path)
    thinkaloud("audit", "--rewards", recipe, source=source, folder=tmp_path)  # it has no pairs, and that is no error
    only = ("--set", "data.domains=['ordering']")
    thinkaloud("train", recipe, "--out", "run", *SMALL, *only, source=source, folder=tmp_path)
    assert len(trained(tmp_path / "run", "ordering")) == 2


FAMILY = """
import jax, numpy as np
from dataclasses import replace
from thinkaloud.model.hf_config import read_hf_config, write_hf_config
from thinkaloud.model.packed import forward, pack
from thinkaloud.model.random_weights import random_params
fields = dict(vocab_size=64, hidden_size=24, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4)
mistral = read_hf_config({"architectures": ["MistralForCausalLM"], "model_type": "mistral", **fields})
assert (mistral.family, mistral.max_position) == ("mistral", 131072)
assert read_hf_config(write_hf_config(mistral)) == mistral
llama = replace(mistral, family="llama")
outputs = [
    np.asarray(forward(random_params(config, 0), {}, pack([[1, 2, 3]], [[]]), config, 1.0)[0])
    for config in (mistral, llama)
]
np.testing.assert_array_equal(*outputs)
print("equal")
"""


def test_a_model_family(tmp_path: Path) -> None:
    (patch,) = blocks("Add a model family", "diff")
    copied(tmp_path)
    apply(patch, tmp_path)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FAMILY],
        env=one_device(PYTHONPATH=str(tmp_path / "src")),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.stdout == "equal\n", done.stderr


def test_a_recipe() -> None:
    (text,) = blocks("Add a recipe", "toml")
    recipe = parse_recipe_text(text)
    assert (recipe.name, recipe.data.domains, recipe.grpo.max_steps) == ("tiny-math", ("math",), 2)
    header = text.split("\nname = ")[0].lower()
    assert all(word in header for word in ("hardware:", "time", "result"))


def copied(folder: Path) -> Path:
    """A copy of the package in `folder/src`."""
    ignored = shutil.ignore_patterns("__pycache__")
    return Path(shutil.copytree(ROOT / "src" / "thinkaloud", folder / "src" / "thinkaloud", ignore=ignored))


def apply(patch: str, folder: Path) -> None:
    """Apply a patch without line numbers: the old lines of each hunk must stand in the file exactly once."""
    for part in re.split(r"^--- a/.*\n", patch, flags=re.MULTILINE)[1:]:
        name, *hunks = re.split(r"^@@\n", part, flags=re.MULTILINE)
        path = folder / name.strip().removeprefix("+++ b/")
        text = path.read_text("utf-8")
        for hunk in hunks:
            lines = hunk.splitlines(keepends=True)
            old = "".join(line[1:] for line in lines if line[0] != "+")
            assert text.count(old) == 1, f"{path.name} does not have once:\n{old}"
            text = text.replace(old, "".join(line[1:] for line in lines if line[0] != "-"))
        path.write_text(text, "utf-8")
