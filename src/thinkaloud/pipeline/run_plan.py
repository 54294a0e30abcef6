"""The stages that a training run has ahead of it, with their work, for the estimate of the whole run's time."""

from __future__ import annotations

from thinkaloud.config import Recipe
from thinkaloud.evaluate.rows import READING_STAGES
from thinkaloud.tracking.whole_run import Ahead

UPDATE_COST = 2.0
"""A rough price of a trained token in sampled ones, until the stages themselves are measured."""


def stages_ahead(recipe: Recipe, evaluated_tasks: int) -> list[Ahead]:
    """Every stage of a recipe in order; `evaluated_tasks` is the number of held-out tasks of an evaluation."""
    rollout, grpo, cold_start, evaluate = recipe.rollout, recipe.grpo, recipe.cold_start, recipe.evaluate
    answers = float(evaluated_tasks * (evaluate.max_new_tokens or rollout.max_new_tokens))
    step = float(rollout.prompts_per_step * rollout.group_size * rollout.max_new_tokens)
    stages: list[Ahead] = []
    if "base" in evaluate.stages:
        names = ["base", *(READING_STAGES[reading] for reading in evaluate.readings)]
        stages += [Ahead(f"evaluate:{name}", answers) for name in names]
    if cold_start.max_steps:
        if cold_start.source != "data":
            sampled = cold_start.self_tasks * cold_start.self_samples * len(recipe.data.domains)
            stages.append(Ahead("cold_start_rows", float(sampled * rollout.max_new_tokens)))
        trained = cold_start.max_steps * cold_start.batch_size * rollout.max_new_tokens
        stages.append(Ahead("cold_start", UPDATE_COST * trained))
        if "cold_start" in evaluate.stages:
            stages.append(Ahead("evaluate:cold_start", answers))
    if grpo.max_steps:
        if recipe.curriculum.enabled and recipe.curriculum.probe_share:
            stages.append(Ahead("probe", recipe.curriculum.probe_share * grpo.max_steps * step))
        stages.append(Ahead("grpo", (1 + grpo.inner_iterations * UPDATE_COST) * grpo.max_steps * step))
    if "trained" in evaluate.stages:
        stages.append(Ahead("evaluate:trained", answers))
    return stages
