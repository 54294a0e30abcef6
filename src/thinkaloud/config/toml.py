"""A recipe as TOML text, for runs that were begun from Python and not from a file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from thinkaloud.config.recipe import Recipe


def recipe_toml(recipe: Recipe) -> str:
    """Every field with its value, defaults included; `parse_recipe_text` gives the same recipe back."""
    return "\n".join(_lines(recipe.resolved(), ())) + "\n"


def _lines(values: dict[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    if path:
        yield f"\n[{'.'.join(map(_key, path))}]"
    for name, value in values.items():
        if value is not None and not isinstance(value, dict):
            yield f"{_key(name)} = {json.dumps(value, ensure_ascii=False)}"  # scalars and lists are TOML as they are
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _lines(value, (*path, name))


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)
