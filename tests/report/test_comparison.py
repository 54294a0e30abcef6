from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from support.cli import Run
from support.synthetic_run import make_run
from thinkaloud.errors import UserError
from thinkaloud.report.comparison import compare_groups
from thinkaloud.report.comparison_page import comparison_page, sentences, tables
from thinkaloud.report.groups import group_runs, load_runs


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Two runs that differ in one field of their recipes and in what came out."""
    first, second = (
        make_run(tmp_path / "a" / "run", steps=2, tasks=3),
        make_run(tmp_path / "b" / "run", steps=3, tasks=3, seed=5),
    )
    resolved = json.loads((second / "resolved.json").read_text())
    resolved["grpo"]["beta"], resolved["grpo"]["max_steps"] = 0.5, 2
    resolved["lora"]["targets"] = ["q<script>"]
    (second / "resolved.json").write_text(json.dumps(resolved))
    return first, second


def test_only_what_differs_is_named(pair: tuple[Path, Path]) -> None:
    found = compare_groups(group_runs(load_runs(pair)))
    assert found["recipe"] == {
        "grpo.beta": {"a/run": 0.02, "b/run": 0.5},
        "lora.targets": {"a/run": None, "b/run": ["q<script>"]},
    }
    assert [found["results"][name]["steps"] for name in ("a/run", "b/run")] == [2, 3]
    assert found["results"]["a/run"]["stage"] == "trained"
    formats, accuracies = found["paired"]
    assert (formats["before"], formats["after"], formats["n"]) == ("a/run", "b/run", 21)
    assert "Accuracy, a/run to b/run" in accuracies["sentence"]


def test_tables_and_page_hold_the_numbers_and_no_markup(pair: tuple[Path, Path]) -> None:
    found = compare_groups(group_runs(load_runs(pair)))
    recipe, about, formats, *_ = tables(found)
    assert recipe.header == ("field", "a/run", "b/run")
    assert ("grpo.beta", "0.02", "0.5") in recipe.rows
    assert about.rows[2:4] == (("tasks", "21", "21"), ("GRPO steps", "2", "3"))
    assert about.rows[-1][0] == "wall time", "nothing is missing"
    assert formats.rows[-1][0] == "overall"
    html = comparison_page(found)
    assert "<script" not in html
    assert "q&lt;script&gt;" in html
    assert formats.rows[-1][1].replace(" ", "") in html.replace("\u00a0", "").replace(" ", "")


def test_the_command(pair: tuple[Path, Path], run: Run, tmp_path: Path) -> None:
    names = [str(path) for path in pair]
    printed = json.loads(run("compare", *names, "--json", "--out", str(tmp_path / "c")).out)
    assert printed["recipe"]["grpo.beta"] == {"a/run": 0.02, "b/run": 0.5}
    assert "Runs compared" in (tmp_path / "c" / "compare.html").read_text()
    ended = run("compare", *names)
    assert (ended.code, "grpo.beta" in ended.out, "Format, a/run to b/run" in ended.out) == (0, True, True)
    assert "twice" in run("compare", names[0], names[0]).mistake
    assert "found one" in run("compare", names[0]).mistake
    assert "expected a run directory" in run("compare", names[0], str(tmp_path / "absent")).mistake
    (tmp_path / "file").touch()
    assert "cannot write" in run("compare", *names, "--out", str(tmp_path / "file" / "c")).mistake
    assert "expected a folder" in run("compare", *names, "--out", str(tmp_path / "c.html")).mistake


def test_a_run_without_evaluation_is_compared_by_its_recipe(pair: tuple[Path, Path]) -> None:
    shutil.rmtree(pair[1] / "eval")
    found = compare_groups(group_runs(load_runs(pair)))
    assert found["results"]["b/run"]["stage"] is None
    assert (found["paired"], found["unpaired"]) == ([], ["b/run"])
    (sentence,) = sentences(found)
    assert all(word in sentence for word in ("b/run", "a/run", "no answered task"))
    assert tables(found)[1].rows[-1] == ("incomplete", "-", "eval/summary.json is missing")
    assert tables(found)[2].rows[-1][2] == "-"
    with pytest.raises(UserError, match="twice"):
        load_runs([pair[0], pair[0] / ".." / "run"])
