"""Compares the expected work of a recipe's judge with its budget."""

from __future__ import annotations

from statistics import fmean

from thinkaloud.audit.findings import Finding, Level
from thinkaloud.config import Recipe
from thinkaloud.data import Pool
from thinkaloud.data.mixture import mixture_of_run
from thinkaloud.domains import registry_of
from thinkaloud.judge.rubric import messages

CHARACTERS_PER_TOKEN = 4
REPLY_TOKENS = 30
"""Tokens of a reply with three marks; a judge that writes its reasoning uses up to judge.max_reply_tokens."""


def check_judge(recipe: Recipe, pool: Pool) -> list[Finding]:
    """The maximum number of calls and tokens of a run's judge, without retries; empty if the recipe has no judge.

    The count assumes that every creative completion has a valid format and occurs once. The tokens are an estimate:
    four characters per token, and completions of half their limit.
    """
    if not recipe.judge.on:
        return []
    calls = num_calls(recipe, pool)
    each = tokens_a_call(recipe, pool)
    tokens = sum(calls.values()) * each
    total = sum(calls.values())
    message = (
        f"up to {total:,} calls ({', '.join(f'{count:,} {purpose}' for purpose, count in calls.items())}) of about "
        f"{each:,} tokens each: {tokens:,} in all"
    )
    budgets = {"max_calls": (recipe.judge.max_calls, total), "max_tokens": (recipe.judge.max_tokens, tokens)}
    short = {name: need for name, (limit, need) in budgets.items() if limit is not None and limit < need}
    limits = ", ".join(f"judge.{name} = {limit:,}" for name, (limit, _) in budgets.items() if limit is not None)
    if short:
        effect = "GRPO continues without the judge" if recipe.judge.reward_share else "the rest has no marks"
        message += f"; {limits} may be used up before the end: then {effect}"
    else:
        message += f"; within {limits}" if limits else "; no budget is set (judge.max_calls, judge.max_tokens)"
    settings = " and ".join(f"judge.{name} = {need:,}".replace(",", "_") for name, need in short.items())
    return [
        Finding(
            name="judge",
            level=Level.WARNING if short else Level.OK,
            message=message,
            remedy=f"set {settings}, or lower grpo.max_steps or evaluate.tasks_per_domain" if short else "",
            figures={"calls": calls, "tokens_a_call": each, "tokens": tokens},
        )
    ]


def num_calls(recipe: Recipe, pool: Pool) -> dict[str, int]:
    """The maximum number of calls by purpose: a test, GRPO if the judge has a reward share, and evaluation."""
    registry = registry_of(recipe)
    creative = [name for name in pool.counts() if not registry.is_verifiable(name)]
    stages = [stage for stage in recipe.evaluate.stages if stage != "cold_start" or recipe.cold_start.max_steps]
    held_out = sum(min(recipe.evaluate.wanted(name), pool.counts()[name][recipe.evaluate.split]) for name in creative)
    calls = {"to try it": 1}
    if recipe.judge.reward_share:
        _, rows = mixture_of_run(recipe, pool)
        drawn = sum(row.drawn for row in rows if row.domain in creative)
        calls["in GRPO"] = round(drawn * recipe.rollout.group_size)
    calls["in evaluation"] = held_out * len(stages)
    return calls


def tokens_a_call(recipe: Recipe, pool: Pool) -> int:
    """Tokens of rubric, question, a completion of half its limit, and the marks."""
    registry = registry_of(recipe)
    questions = [
        len(task.question)
        for name, tasks in pool.by_domain("train").items()
        if not registry.is_verifiable(name)
        for task in tasks
    ]
    rubric = sum(len(message["content"]) for message in messages("", "", ""))
    read = round((rubric + (fmean(questions) if questions else 0.0)) / CHARACTERS_PER_TOKEN)
    return read + recipe.rollout.max_new_tokens // 2 + REPLY_TOKENS
