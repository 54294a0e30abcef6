"""The recipes that ship in the package, found by name: `starter` is `recipes/starter.toml`."""

from __future__ import annotations

from pathlib import Path

SHIPPED = Path(__file__).parents[1] / "recipes"
"""Their folder; `recipes` in a clone is a link to it."""


def shipped_names() -> list[str]:
    """The names of the shipped recipes."""
    return sorted(path.stem for path in SHIPPED.glob("*.toml"))


def recipe_path(path: Path) -> Path:
    """The file of a recipe: `path` where it is one, else the shipped recipe that it names.

    Both `starter` and `recipes/starter.toml` name one, so that the commands of the docs work outside a clone too.
    """
    name = path.name.removesuffix(".toml")
    if path.is_file() or path.parent not in (Path(), Path("recipes")) or name not in shipped_names():
        return path
    return SHIPPED / f"{name}.toml"
