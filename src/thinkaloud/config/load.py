"""TOML text and `--set` overrides to a validated `Recipe`; every mistake is one line that says how to mend it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from thinkaloud.config.recipe import Recipe
from thinkaloud.errors import UserError, nearest

RECIPES_HELP = "recipes/tiny.toml is the quickest one to try"


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe file and apply `key.path=value` overrides.

    Args:
        path: A TOML file.
        overrides: `a.b=c` strings; the value is read as TOML, and as plain text where it is not TOML.

    Returns:
        The frozen, validated recipe.

    Raises:
        UserError: Missing or unreadable file, bad TOML, unknown key (with the nearest known one), wrong type or value.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"no recipe at {str(path)!r}: expected a TOML file ({RECIPES_HELP})") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8") from None
    except OSError as error:
        raise UserError(f"cannot read the recipe {str(path)!r}: {error.strerror or error}") from None
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path} is not valid TOML: {error}") from None
    for override in overrides:
        _apply(values, override)
    return parse_recipe(values, where=str(path))


def parse_recipe(values: dict[str, Any], where: str = "recipe") -> Recipe:
    """Validate plain values (from TOML or JSON) into a `Recipe`; raises UserError with the first mistake."""
    try:
        return Recipe.model_validate(_tuples(values))
    except ValidationError as error:
        raise UserError(f"{where}: {_explain(error)}") from None


def _tuples(value: Any) -> Any:
    """TOML and JSON have lists where the frozen models have tuples."""
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    if isinstance(value, list):
        return tuple(_tuples(item) for item in value)
    return value


def _apply(values: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    parts = [part.strip() for part in key.split(".")]
    if not separator or not all(parts):
        raise UserError(f"--set {override!r}: expected key=value, such as --set grpo.max_steps=20")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    node = values
    for part in parts[:-1]:
        child = node.setdefault(part, {})
        if isinstance(child, str) and part == "model":
            child = node[part] = {"source": child}
        if not isinstance(child, dict):
            raise UserError(f"--set {override!r}: {part!r} is a value, not a section")
        node = child
    node[parts[-1]] = value


def _explain(error: ValidationError) -> str:
    """The first mistake in one line: key, what was expected, what was found, the nearest known key."""
    errors = error.errors()
    first = next((item for item in errors if item["type"] == "extra_forbidden"), errors[0])
    path = [part for part in first["loc"] if isinstance(part, str)]
    key = ".".join(str(part) for part in first["loc"]) or "recipe"
    if first["type"] == "extra_forbidden":
        section = ".".join(path[:-1])
        known = _fields(path[:-1])
        place = f" in [{section}]" if section else ""
        return f"unknown key {path[-1]!r}{place}{nearest(path[-1], known)}"
    if first["type"] == "missing":
        return f"missing key {key!r}; add it"
    if first["type"] == "value_error":
        return f"{key}: {first['ctx']['error']}"
    message = first["msg"]
    found = first["input"]
    return f"{key}: {message[0].lower()}{message[1:]}; found {found!r} ({type(found).__name__})"


def _fields(path: list[str]) -> list[str]:
    model: type[BaseModel] = Recipe
    for part in path:
        annotation = model.model_fields[part].annotation if part in model.model_fields else None
        for option in (annotation, *get_args(annotation)):
            if isinstance(option, type) and issubclass(option, BaseModel):
                model = option
                break
        else:
            return []
    return list(model.model_fields)


_DURATION = re.compile(r"^(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?$")


def parse_duration(text: str) -> float:
    """`9h`, `2h30m`, `45m`, `90s` in seconds.

    Raises:
        UserError: Any other text.
    """
    match = _DURATION.match(text.strip())
    if not match or not any(match.groups()):
        raise UserError(f"{text!r} is not a duration; expected one such as 9h, 2h30m, 45m or 90s")
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds
