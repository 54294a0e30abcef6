"""Every recipe that ships: it parses, says where it was run, and keeps what its header promises."""

from __future__ import annotations

import ast
import inspect
import json
from pathlib import Path

import pytest

from support.domains import DOMAINS
from thinkaloud.config import Recipe, load_recipe
from thinkaloud.config import recipe as fields
from thinkaloud.domains import registry_of
from thinkaloud.fetch.known import KNOWN
from thinkaloud.train.learning_rate import LEAST_TRAVEL, travel

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.toml"))
BY_NAME = {path.stem: path for path in RECIPES}


def test_the_recipes_that_the_readme_names_are_there() -> None:
    nights = {f"night-{size}" for size in ("135m", "270m", "0.5b", "1b")}
    assert {"tiny", "starter", "bench", "original", "science-0.5b", *nights} == BY_NAME.keys()


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
class TestShipped:
    def test_parses_under_its_own_name(self, path: Path) -> None:
        recipe = load_recipe(path)
        assert recipe.name == path.stem
        assert recipe.model.source in KNOWN or recipe.model.source.startswith("hub:")
        registry_of(recipe)

    def test_resolved_form_is_json_and_parses_to_the_same_recipe(self, path: Path) -> None:
        from thinkaloud.config.load import parse_recipe

        recipe = load_recipe(path)
        assert parse_recipe(json.loads(json.dumps(recipe.resolved(), allow_nan=False))) == recipe

    def test_header_says_hardware_time_and_result(self, path: Path) -> None:
        header = path.read_text(encoding="utf-8").split("\nname = ")[0].lower()
        assert all(line.startswith("#") for line in header.splitlines())
        assert "hardware:" in header
        assert "time" in header
        assert "result" in header or path.stem == "tiny"


def test_the_original_s_hyperparameters() -> None:
    recipe = load_recipe(BY_NAME["original"])
    grpo, rollout, lora = recipe.grpo, recipe.rollout, recipe.lora
    assert (rollout.prompts_per_step * grpo.max_steps, rollout.prompts_per_step) == (10_000, 2)
    assert (rollout.group_size, grpo.inner_iterations, grpo.beta, grpo.epsilon) == (4, 4, 0.04, 0.2)
    assert (grpo.epsilon_high, grpo.refill_rounds, recipe.curriculum.enabled) == (0.2, 0, False)
    assert (grpo.learning_rate, grpo.warmup_fraction, grpo.schedule) == (3e-6, 0.1, "cosine")
    assert (grpo.adam_b1, grpo.adam_b2, grpo.weight_decay, grpo.max_grad_norm) == (0.9, 0.99, 0.1, 0.1)
    assert (lora.rank, lora.alpha, set(lora.targets)) == (16, 32.0, {"q", "k", "v", "o", "gate", "up", "down"})
    assert (rollout.temperature, rollout.top_p, rollout.top_k) == (0.7, 0.95, 50)
    assert (rollout.max_new_tokens, rollout.max_prompt_tokens) == (512, 1024)
    assert (recipe.prompt.variant, recipe.checkpoint.use) == ("original", "newest")
    assert recipe.data.domains == DOMAINS
    assert recipe.cold_start.max_steps == 0


@pytest.mark.parametrize("name", ["night-135m", "night-270m", "night-0.5b", "night-1b"])
def test_a_night_covers_all_domains_and_can_move_its_adapter(name: str) -> None:
    recipe = load_recipe(BY_NAME[name])
    assert recipe.data.domains == DOMAINS
    assert recipe.cold_start.max_steps > 0
    assert recipe.data.generated_held_out
    assert travel(recipe, 1e-4) >= LEAST_TRAVEL


def test_defaults_are_those_of_the_field() -> None:
    bare = Recipe.model_validate({"name": "bare", "model": "gemma3-1b"})
    grpo, rollout = bare.grpo, bare.rollout
    assert (grpo.beta, grpo.inner_iterations, grpo.epsilon_high, grpo.weight_decay) == (0.0, 1, 0.28, 0.0)
    assert (grpo.max_grad_norm, grpo.learning_rate) == (1.0, "auto")
    assert (rollout.group_size, rollout.temperature, rollout.top_p, rollout.top_k) == (8, 1.0, 1.0, 0)
    assert (bare.checkpoint.use, bare.checkpoint.validate_every) == ("best", 20)
    assert bare.curriculum.enabled


def test_every_field_says_its_unit_or_has_a_docstring() -> None:
    units = ("_steps", "_tokens", "_seconds", "_bytes")
    for section in ast.parse(inspect.getsource(fields)).body:
        if not isinstance(section, ast.ClassDef):
            continue
        assert ast.get_docstring(section), section.name
        for statement, following in zip(section.body, [*section.body[1:], None], strict=True):
            if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
                continue
            name = statement.target.id
            documented = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
            is_section = isinstance(statement.value, ast.Call) and ast.unparse(statement.value.func).endswith("Config")
            assert documented or is_section or name.endswith(units), f"{section.name}.{name}"
