"""The work of a run's stages, by hand."""

from __future__ import annotations

from typing import Any

from thinkaloud.config import Recipe
from thinkaloud.config.load import parse_recipe
from thinkaloud.pipeline.run_plan import stages_ahead
from thinkaloud.tracking.whole_run import Ahead


def recipe_with(**sections: Any) -> Recipe:
    return parse_recipe({"name": "plan", "model": "tiny", "data": {"sources": {"starter": {}}}, **sections})


def test_every_stage_is_counted_in_sampled_tokens() -> None:
    recipe = recipe_with(
        rollout={"prompts_per_step": 2, "group_size": 4, "max_new_tokens": 10},
        cold_start={"max_steps": 3, "batch_size": 5},
        grpo={"max_steps": 20, "inner_iterations": 2},
        curriculum={"probe_share": 0.1},
        evaluate={"readings": ["plain"]},
    )
    assert stages_ahead(recipe, 7) == [
        Ahead("evaluate:base", 70),
        Ahead("evaluate:base_plain", 70),
        Ahead("cold_start", 2 * 3 * 5 * 10),
        Ahead("evaluate:cold_start", 70),
        Ahead("probe", 0.1 * 20 * 80),
        Ahead("grpo", (1 + 2 * 2) * 20 * 80),
        Ahead("evaluate:trained", 70),
    ]


def test_stages_that_the_recipe_leaves_out_are_not_counted() -> None:
    recipe = recipe_with(cold_start={"max_steps": 0}, grpo={"max_steps": 0}, evaluate={"stages": ["trained"]})
    assert [stage.name for stage in stages_ahead(recipe, 7)] == ["evaluate:trained"]
