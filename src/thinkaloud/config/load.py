"""TOML text and `--set` overrides to a validated `Recipe`; every mistake gives one line that says how to fix it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from thinkaloud.config.recipe import Recipe
from thinkaloud.config.shipped import recipe_path, shipped_names
from thinkaloud.errors import UserError, nearest, type_name

RECIPES_HELP = f"shipped recipes: {', '.join(shipped_names())}"

MAX_RECIPE_BYTES = 1 << 20
"""Larger files are rejected."""


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe file and apply `key.path=value` overrides.

    Args:
        path: A TOML file, or the name of a shipped recipe.
        overrides: `a.b=c` strings; the value is read as TOML, and as plain text where it is not TOML.

    Returns:
        The frozen, validated recipe.

    Raises:
        UserError: Missing or unreadable file, bad TOML, unknown key (with the nearest known one), wrong type or value.
    """
    return parse_recipe_text(read_recipe_text(path), overrides, where=str(path))


def read_recipe_text(path: Path) -> str:
    """The text of a recipe file, or of a shipped recipe by its name. Raises UserError where it cannot be read."""
    path = recipe_path(path)
    try:
        if not path.is_file() and path.exists():  # reading a pipe could wait for ever
            raise UserError(f"expected a recipe file, found a folder, pipe or device at {str(path)!r}; name a file")
        with path.open("rb") as file:
            content = file.read(MAX_RECIPE_BYTES + 1)
    except FileNotFoundError:
        close = nearest(path.name.removesuffix(".toml"), shipped_names())
        close = close if "did you mean" in close else ""
        raise UserError(
            f"no recipe at {str(path)!r}{close}: expected a TOML file, or a name ({RECIPES_HELP})"
        ) from None
    except OSError as error:
        raise UserError(f"cannot read the recipe {str(path)!r}: {error.strerror or error}") from None
    if len(content) > MAX_RECIPE_BYTES:
        raise UserError(f"{path} is larger than {MAX_RECIPE_BYTES >> 20} MiB: expected a recipe ({RECIPES_HELP})")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8") from None


def parse_recipe_text(text: str, overrides: Sequence[str] = (), where: str = "recipe") -> Recipe:
    """TOML text and overrides to a recipe; `where` names it in errors. Raises UserError as `load_recipe` does."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{where} is not valid TOML: {error}") from None
    except RecursionError:
        raise UserError(f"{where} is not a recipe: it is nested too deeply") from None
    for override in overrides:
        _apply(values, override)
    return parse_recipe(values, where=where)


def parse_recipe(values: dict[str, Any], where: str = "recipe") -> Recipe:
    """Validate plain values (from TOML or JSON) into a `Recipe`; raises UserError with the first mistake."""
    try:
        return Recipe.model_validate(_tuples(values))
    except ValidationError as error:
        raise UserError(f"{where}: {_explain(error)}") from None
    except RecursionError:
        raise UserError(f"{where} is not a recipe: it is nested too deeply") from None


def change_recipe(recipe: Recipe, overrides: Sequence[str], where: str = "recipe") -> Recipe:
    """A recipe with `key.path=value` overrides applied; raises UserError as `load_recipe` does."""
    values = recipe.resolved()
    for override in overrides:
        _apply(values, override)
    return parse_recipe(values, where=where)


def _tuples(value: Any) -> Any:
    """`value` with tuples in place of the lists of TOML and JSON, as the frozen models require."""
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
    node = values
    for part in parts[:-1]:
        child = node.setdefault(part, {})
        if isinstance(child, str) and part == "model":
            child = node[part] = {"source": child}
        if not isinstance(child, dict):
            raise UserError(f"--set {override!r}: {part!r} is a value, not a section")
        node = child
    node[parts[-1]] = _read_value(text)


def _read_value(text: str) -> Any:
    """A TOML value, or plain text where it is not TOML."""
    try:
        found = tomllib.loads(f"value = {text}")
    except (tomllib.TOMLDecodeError, RecursionError):
        return text.strip()
    return found["value"] if len(found) == 1 else text.strip()


def _explain(error: ValidationError) -> str:
    """The first mistake in one line: key, expected, found, and the nearest known key."""
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
    message = re.sub(r"^(Input|String) should (be )?", "", first["msg"])
    expected = _EXPECTED.get(key) or _EXPECTED.get(first["type"]) or message
    if key in _SECRET:
        return f"{key}: expected {expected}"
    found, kind = repr(first["input"]), type_name(first["input"], "a table")
    return f"{key}: expected {expected}, found {found if len(found) <= 80 else found[:80] + '…'} ({kind})"


_EXPECTED = {
    "tuple_type": "a list",
    "dict_type": "a table",
    "model_type": "a section (a table)",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": 'text ("in quotes")',
    "string_too_short": "some text",
    "judge.base_url": "http:// or https://, a host and a path, with no user name, key or query in it",
    "judge.api_key_env": "the name of an environment variable in capitals, as OPENAI_API_KEY, never the key itself",
    "string_pattern_mismatch": "letters, digits, dots, dashes and underscores, starting with a letter or digit",
}
"""What is expected, by key or by pydantic's error type; for other types pydantic's own message is used."""

_SECRET = ("judge.base_url", "judge.api_key_env")
"""Keys that may hold a secret by mistake: their value is not shown."""


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
