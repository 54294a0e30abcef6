"""A recipe as TOML text, for runs that are started from Python and not from a file."""

from __future__ import annotations

from typing import Any

from thinkaloud.config.recipe import Recipe


def recipe_toml(recipe: Recipe) -> str:
    """Every field with its value, defaults included; `parse_recipe_text` restores the same recipe."""
    import tomli_w

    return tomli_w.dumps(_without_none(recipe.resolved()))


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    """The values that are set: TOML has no null."""
    return {
        name: _without_none(value) if isinstance(value, dict) else value
        for name, value in values.items()
        if value is not None
    }
