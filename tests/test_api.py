"""The calls of a notebook: typed, light until used, and the same as the commands."""

from __future__ import annotations

import ast
import inspect
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import thinkaloud
from support.cli import TINY
from support.cli import Run as RunCommand
from support.tiny_runs import make_run
from thinkaloud import api
from thinkaloud.config import parse_recipe_text
from thinkaloud.config.toml import recipe_toml
from thinkaloud.durations import session_clock
from thinkaloud.errors import UserError
from thinkaloud.pipeline import seeds
from thinkaloud.pipeline.opening import TrainOptions

ROOT = Path(__file__).parents[1]
RECIPES = sorted((ROOT / "recipes").glob("*.toml"))
DOCUMENTED = re.findall(r"^\| `(Run\.)?(\w+)\((.*?)\)` \|", (ROOT / "docs" / "api.md").read_text("utf-8"), re.MULTILINE)
"""Of each row of the table: whether it is a method, the name, the parameters."""
RECORDS = {"Comparison", "Evaluation", "Reply", "Run", "UserError"}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> api.Run:
    return api.load_run(make_run(tmp_path_factory.mktemp("api") / "run", "tiny"))


def test_the_package_loads_it_when_it_is_used() -> None:
    code = "import sys, thinkaloud; before = 'jax' in sys.modules; thinkaloud.api; print(before, 'jax' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert run.stdout.split() == ["False", "True"]
    assert thinkaloud.api is api
    with pytest.raises(AttributeError, match="nothing"):
        _ = thinkaloud.nothing


def test_every_call_is_documented() -> None:
    assert {name for _, name, _ in DOCUMENTED} == {*api.__all__, "generate", "export", "metrics"} - RECORDS


@pytest.mark.parametrize(("method", "name", "parameters"), DOCUMENTED, ids=[name for _, name, _ in DOCUMENTED])
def test_a_documented_call_has_these_parameters(method: str, name: str, parameters: str) -> None:
    (written,) = ast.parse(f"def f({parameters}): ...").body
    assert isinstance(written, ast.FunctionDef)
    own = written.args
    stated = [argument.arg for argument in (*own.args, own.vararg, *own.kwonlyargs) if argument is not None]
    found = inspect.signature(getattr(api.Run if method else api, name)).parameters
    assert [key for key in found if key != "self"] == stated
    for argument, default in zip([*own.args][len(own.args) - len(own.defaults) :], own.defaults, strict=True):
        assert found[argument.arg].default == ast.literal_eval(default)
    for argument, keyword in zip(own.kwonlyargs, own.kw_defaults, strict=True):
        if keyword is not None:
            assert found[argument.arg].default == ast.literal_eval(keyword)


def test_load_recipe() -> None:
    recipe = api.load_recipe(TINY, "grpo.max_steps=7", "seed=3")
    assert (recipe.name, recipe.grpo.max_steps, recipe.seed) == ("tiny", 7, 3)
    with pytest.raises(UserError, match="max_step"):
        api.load_recipe(TINY, "grpo.max_stepz=7")


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_as_toml_gives_itself_back(path: Path) -> None:
    recipe = api.load_recipe(path)
    assert parse_recipe_text(recipe_toml(recipe)) == recipe


def test_build_pool() -> None:
    pool = api.build_pool(api.load_recipe(TINY, "data.domains=['math', 'logic']"))
    assert list(pool.counts()) == ["math", "logic"]
    assert pool.counts()["math"]["train"] > 20


def test_generate(loaded: api.Run) -> None:
    reply = loaded.generate("What is 2 + 2?", max_new_tokens=6)
    assert 1 <= reply.num_tokens <= 6
    assert loaded.generate(["What is 2 + 2?", "And 3?"], max_new_tokens=6)[0] == reply
    assert (reply.answer is None) == (reply.reason is not None)


def test_export(loaded: api.Run, tmp_path: Path) -> None:
    done = loaded.export("peft", out=tmp_path / "adapter")
    assert (done.path / "adapter_model.safetensors").stat().st_size == done.files["adapter_model.safetensors"]


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run directory"):
        api.load_run(tmp_path / "none")
    with pytest.raises(UserError, match="unknown split"):
        api.evaluate(tmp_path, split="tset")


def test_train_passes_on_what_the_command_would(
    loaded: api.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[TrainOptions] = []
    monkeypatch.setattr(api, "run_training", lambda options, display: given.append(options))
    monkeypatch.setattr(api, "load_run", lambda path: loaded)
    recipe = api.load_recipe(TINY, "grpo.max_steps=7")
    run = api.train(recipe, tmp_path / "a", deadline="8h30m", pool="some/pool", track="wandb", profile=True)
    assert run is api.train(recipe) is loaded
    full, bare = given
    assert (full.pool, full.track, full.profile, full.resume) == (Path("some/pool"), "wandb", True, False)
    assert full.ends_at is not None
    assert full.ends_at - session_clock() == pytest.approx(30_600, abs=60)
    assert parse_recipe_text(full.recipe_text).grpo.max_steps == 7
    assert (full.out, bare.out) == (tmp_path / "a", Path("runs/tiny"))
    assert (bare.pool, bare.track, bare.profile, bare.ends_at) == (None, None, False, None)


@pytest.mark.parametrize(
    ("options", "said"),
    [({"deadline": "soon"}, "8h30m|9h"), ({"seeds": 1}, "two or more seeds"), ({"pool": "none"}, "none")],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_train_has_the_errors_of_the_command(
    run: RunCommand, tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    flags = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    shown = run("train", TINY, "--out", str(tmp_path / "run"), *flags)
    with pytest.raises(UserError, match=said) as caught:
        api.train(api.load_recipe(TINY), tmp_path / "run", **options)
    assert shown.code == 2
    assert shown.err.endswith(f"error: {caught.value}\n")
    assert not (tmp_path / "run").exists()


def test_seeds_return_their_comparison(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def train_nothing(options: TrainOptions, count: int, display: object) -> list[Path]:
        return [options.out / f"seed-{index}" for index in range(count)]

    monkeypatch.setattr(seeds, "train_seeds", train_nothing)
    found = api.train(api.load_recipe(TINY), tmp_path / "series", seeds=2)
    assert (found["runs"], found["report"]) == ([str(tmp_path / f"series/seed-{n}") for n in (0, 1)], None)
    assert "seed-1" in found._repr_html_()
    assert found.frame().empty


def test_compare(loaded: api.Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="two or more runs"):
        api.compare(loaded)
    other = shutil.copytree(loaded.path, tmp_path / "other")
    found = api.compare(loaded, other, out=tmp_path / "out")
    assert list(found["results"]) == ["run", "other"]
    assert (tmp_path / "out" / "compare.html").exists()


def test_a_run_in_a_notebook(loaded: api.Run) -> None:
    assert loaded.evaluation is not None
    assert loaded.evaluation["split"] == "test"
    assert "trained model" in loaded._repr_html_()
    assert len(repr(loaded)) < 400  # not the recipe, the pool and the weights
    assert "No difference is shown." in loaded._repr_html_()
    assert loaded.metrics().empty
    with pytest.raises(UserError, match="cold_start"):
        loaded.metrics("warm_start")


def test_a_reply_in_a_notebook_is_escaped() -> None:
    reply = api.Reply("<script>\u202e</script>", None, None, "missing_reasoning", "stop", 3)
    shown = reply._repr_html_()
    assert "&lt;script&gt;⟨U+202E⟩" in shown
    assert "<script" not in shown
    assert "missing_reasoning" in shown


@pytest.mark.slow
def test_train_and_evaluate(tmp_path: Path) -> None:
    """Two steps, begun from Python, resumed to themselves, evaluated anew."""
    overrides = ("cold_start.max_steps=0", "grpo.max_steps=2", "rollout.max_new_tokens=8")
    few = ("evaluate.tasks_per_domain=1", "data.domains=['math']", "checkpoint.every_steps=1")
    recipe = api.load_recipe(TINY, *overrides, *few)
    run = api.train(recipe, tmp_path / "run")
    assert (tmp_path / "run" / "report.html").exists()
    again = api.train(api.load_recipe(tmp_path / "run" / "recipe.toml"), tmp_path / "run", resume=True)
    assert again.generate("Hm?") == run.generate("Hm?")
    assert list(api.evaluate(run)["stages"]) == ["base", "base_plain", "base_example", "trained"]
    assert list(api.evaluate(run.path, stages=["trained"])["stages"])[-1] == "trained"
    frame = run.metrics()
    assert frame["step"].tolist() == [1, 2]
    assert frame["seconds.rollout"].gt(0).all()
