"""Whether a run may go on with the recipe at hand: what changed since it began, and what of it the user allows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from thinkaloud.config import Recipe
from thinkaloud.config.flat import changed_keys, flat
from thinkaloud.config.load import parse_recipe
from thinkaloud.errors import UserError, nearest
from thinkaloud.rundir import RunDir


def check_recipe(run: RunDir, recipe: Recipe, allowed: Sequence[str] = ()) -> list[str]:
    """Compare the recipe with the one that the run began with.

    Args:
        allowed: Keys, such as `grpo.max_steps`, that may have changed.

    Returns:
        What changed and is allowed, each as `key: old -> new`.

    Raises:
        UserError: Names every other key that differs, with both values; or a key in `allowed` is none.
    """
    before = flat(parse_recipe(run.read_json("resolved.json"), where=str(run.path / "resolved.json")).resolved())
    after = flat(recipe.resolved())
    for key in allowed:
        if key not in {*before, *after}:
            raise UserError(f"--allow-change {key}: a recipe has no such key{nearest(key, {*before, *after})}")
    changed = changed_keys(before, after)
    said = {key: f"{key}: {_short(before.get(key))} -> {_short(after.get(key))}" for key in changed}
    refused = [said[key] for key in changed if key not in allowed]
    if refused:
        raise UserError(
            f"the recipe is not the one that {run.path} began with (changed: {', '.join(refused)}); resume with "
            f"{run.path / 'recipe.toml'} and the same --set, allow a change with --allow-change KEY, or start anew "
            "with --out"
        )
    return list(said.values())


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
