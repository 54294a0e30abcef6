"""Checks of the pool, the mixture and the token limits: no weights, no sampling, a few seconds at most."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import jax

from thinkaloud.audit.findings import Finding, Level
from thinkaloud.audit.golds import check_scorers
from thinkaloud.audit.judge_checks import check_judge
from thinkaloud.config import Recipe
from thinkaloud.data import Pool
from thinkaloud.data.mixture import mixture_of_run
from thinkaloud.model.precision import base_dtype, is_slow

FEW_TASKS = 20
"""With fewer training tasks in a domain, the model memorizes them."""
MANY_REPEATS = 10.0
"""If a task is drawn more often in a run, the model memorizes it."""
LOST_SHARE = 0.1
"""A warning is raised if a larger share of a source's rows is dropped for one reason."""
EXPECTED = ("domain left out", "exact copy", "near copy", "over the cap", "category ")
"""Prefixes of the reasons for dropped rows that are no warning."""
SMALL_GROUP = 4
"""With fewer completions per group, the mean of the group is a poor baseline."""


def audit_recipe(recipe: Recipe, pool: Pool) -> list[Finding]:
    """All findings on a recipe and its pool that need no model."""
    lines: list[dict[str, Any]] = pool.record.get("lines", [])
    return [
        *check_counts(recipe, pool),
        check_mixture(recipe, pool),
        *check_losses(lines),
        check_prompts(recipe, lines),
        check_answers(recipe, lines),
        check_scorers(recipe, pool),
        check_rationales(recipe, pool, lines),
        check_licenses(lines),
        check_contamination(recipe),
        check_group(recipe),
        *check_dtype(recipe),
        *check_judge(recipe, pool),
    ]


def check_counts(recipe: Recipe, pool: Pool) -> list[Finding]:
    """Whether every domain has enough training and held-out tasks."""
    counts = pool.counts()
    split, wanted = recipe.evaluate.split, recipe.evaluate.wanted
    few = {name: own["train"] for name, own in counts.items() if own["train"] < FEW_TASKS}
    thin = {name: own[split] for name, own in counts.items() if own[split] < wanted(name)}
    total = sum(own["train"] for own in counts.values())
    found = [
        Finding(
            name="training tasks",
            level=Level.WARNING if few else Level.OK,
            message=f"{total} training tasks in {len(counts)} domains"
            + (f"; few in {_counted(few)}: the model memorizes them" if few else ""),
            remedy="add a source, or generated tasks (data.generated)" if few else "",
            figures={"counts": counts},
        )
    ]
    if thin:
        found.append(
            Finding(
                name="held-out tasks",
                level=Level.WARNING,
                message=f"the {split} split has fewer tasks than the recipe evaluates in {_counted(thin)}: "
                "intervals will be wide",
                remedy=f"raise data.{split}_share, or add a source" if split != "train" else "add a source",
                figures=thin,
            )
        )
    return found


def check_mixture(recipe: Recipe, pool: Pool) -> Finding:
    """How often a task is drawn during the run."""
    draws, rows = mixture_of_run(recipe, pool)
    often = {row.domain: round(row.repeats, 1) for row in rows if row.repeats > MANY_REPEATS}
    rarest = min(rows, key=lambda row: row.sampled_share)
    return Finding(
        name="mixture",
        level=Level.WARNING if often else Level.OK,
        message=f"{draws} draws over {recipe.grpo.max_steps} steps; the rarest domain, {rarest.domain}, has "
        f"{rarest.sampled_share:.1%} of them ({rarest.natural_share:.1%} of the tasks)"
        + (f"; tasks repeat more than {MANY_REPEATS:.0f} times in {_counted(often)}" if often else ""),
        remedy="raise mixture.exponent, lower grpo.max_steps, or add tasks there" if often else "",
        figures={"rows": [asdict(row) for row in rows]},
    )


def check_losses(lines: list[dict[str, Any]]) -> list[Finding]:
    """Sources that lose a large share of their rows for one reason, such as invalid gold answers."""
    found = []
    for line in lines:
        for reason, count in line["dropped"].items():
            share = count / line["read"]
            if share < LOST_SHARE or reason.startswith(EXPECTED):
                continue
            found.append(
                Finding(
                    name="dropped rows",
                    level=Level.WARNING,
                    message=f"{line['source']} ({line['domain'] or 'no domain'}) lost {share:.0%} of {line['read']} "
                    f"rows: {reason}; the first: {line['examples'].get(reason, '')!r}",
                    remedy=_loss_remedy(reason),
                    figures={"source": line["source"], "reason": reason, "rows": count, "read": line["read"]},
                )
            )
    if not found:
        dropped = sum(sum(line["dropped"].values()) for line in lines)
        read = sum(line["read"] for line in lines)
        found.append(
            Finding(
                name="dropped rows",
                level=Level.OK,
                message=f"{dropped} of {read} rows dropped; no source lost more than {LOST_SHARE:.0%} for one reason",
            )
        )
    return found


def check_answers(recipe: Recipe, lines: list[dict[str, Any]]) -> Finding:
    """Gold answers that exceed the token limit, so that no completion can earn their reward."""
    limit = recipe.rollout.max_new_tokens
    long = sum(count for line in lines for note, count in line["notes"].items() if note.startswith("answer over"))
    return Finding(
        name="answer lengths",
        level=Level.WARNING if long else Level.OK,
        message=f"{long} gold answers exceed rollout.max_new_tokens = {limit}: their tasks cannot be solved"
        if long
        else f"every gold answer fits rollout.max_new_tokens = {limit}",
        remedy="raise rollout.max_new_tokens" if long else "",
        figures={"too_long": long, "limit": limit},
    )


def _loss_remedy(reason: str) -> str:
    if reason.startswith("prompt over"):
        return "raise rollout.max_prompt_tokens; prompts are never truncated"
    if reason.startswith("answer over"):
        return "raise rollout.max_new_tokens: the gold answers do not fit"
    if reason.startswith("gold answer"):
        return "check the example with `thinkaloud score`; the column mapping may be wrong"
    if reason.startswith("in evaluation set"):
        return "the source contains the evaluation set: leave it out, or use another split of it"
    return "check that it is the intended source; `thinkaloud data` prints all reasons"


def check_prompts(recipe: Recipe, lines: list[dict[str, Any]]) -> Finding:
    """Prompt lengths against the limit. Prompts are padded to the longest of a batch."""
    longest = max((line["prompt_tokens"].get("max", 0) for line in lines), default=0)
    typical = max((line["prompt_tokens"].get("p95", 0) for line in lines), default=0)
    limit = recipe.rollout.max_prompt_tokens
    return Finding(
        name="prompt lengths",
        level=Level.OK,
        message=f"the longest prompt has {longest} tokens, the limit is {limit}; 95 % of the prompts of any domain "
        f"have at most {typical}",
        figures={"longest": longest, "p95": typical, "limit": limit},
    )


def check_rationales(recipe: Recipe, pool: Pool, lines: list[dict[str, Any]]) -> Finding:
    """Whether the cold start has rationales in every domain."""
    set_aside = sum(n for line in lines for note, n in line["notes"].items() if note.startswith("rationale"))
    usable = {name: len(tasks) for name, tasks in pool.by_domain("train", with_rationale=True).items()}
    without = [name for name in recipe.data.domains if not usable.get(name)]
    wanted = recipe.cold_start.max_steps > 0
    message = f"{sum(usable.values())} training tasks have a rationale within the token limit"
    message += f"; {set_aside} rationales exceed it" if set_aside else ""
    message += f"; none in {', '.join(without)}" if without else ""
    level, remedy = Level.OK, ""
    if wanted and recipe.cold_start.source != "data":
        message += f'; the rows are sampled (cold_start.source = "{recipe.cold_start.source}")'
        if not any(usable.values()):
            message += " after a worked example from the starter tasks"
    elif wanted and without:
        level = Level.WARNING if any(usable.values()) else Level.STOP
        remedy = (
            'set cold_start.source = "self": the base writes its own, or add `starter = {}` to data.sources: it has '
            "rationales in every domain"
        )
    return Finding(
        name="cold start",
        level=level,
        message=message if wanted else message + "; the recipe has no cold start",
        remedy=remedy,
        figures={"usable": usable, "set_aside": set_aside},
    )


def check_licenses(lines: list[dict[str, Any]]) -> Finding:
    """Licences that restrict the use of the trained model."""
    by_source = {line["source"]: line["license"] for line in lines if sum(line["kept"].values())}
    bound = {
        name: text or "not stated"
        for name, text in by_source.items()
        if not text or any(word in text.casefold() for word in _BINDING)
    }
    return Finding(
        name="licences",
        level=Level.WARNING if bound else Level.OK,
        message="; ".join(f"{name}: {text}" for name, text in (bound or by_source).items()),
        remedy="leave these sources out if you will publish or sell the model" if bound else "",
        figures=by_source,
    )


_BINDING = ("-nc", " nc ", "non-commercial", "not stated", "unknown")
"""Substrings of licences that restrict use, or are unknown."""


def check_contamination(recipe: Recipe) -> Finding:
    """Whether the pool was compared with the evaluation sets."""
    sets = recipe.data.evaluation_sets
    return Finding(
        name="decontamination",
        level=Level.OK,
        message=f"compared with {', '.join(sets)}" if sets else "no evaluation set is named",
        remedy="" if sets else "name the sets that you will report on in data.evaluation_sets",
    )


def check_group(recipe: Recipe) -> Finding:
    """Whether groups are large enough for a baseline."""
    size = recipe.rollout.group_size
    small = size < SMALL_GROUP
    return Finding(
        name="group size",
        level=Level.WARNING if small else Level.OK,
        message=f"{size} completions per group" + (": their mean is a poor baseline" if small else ""),
        remedy=f"raise rollout.group_size to {SMALL_GROUP} or more" if small else "",
    )


def check_dtype(recipe: Recipe) -> list[Finding]:
    """A warning where the recipe names a dtype that this device is slow with."""
    dtype = recipe.model.dtype
    if not is_slow(dtype):
        return []
    return [
        Finding(
            name="dtype",
            level=Level.WARNING,
            message=f"model.dtype is {dtype!r}, which this device ({jax.default_backend()}) cannot multiply: it "
            "converts the weights again and again, and every step takes longer",
            remedy=f'set model.dtype = "auto", here {base_dtype("auto")}',
        )
    ]


def _counted(counts: dict[str, Any]) -> str:
    return ", ".join(f"{name} ({count})" for name, count in counts.items())
