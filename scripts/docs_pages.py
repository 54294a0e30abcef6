"""The pages of the documentation that are made from the code: recipe fields, commands, guide and changelog.

mkdocs.yml names this file as a hook, so `make docs` adds these pages to those in docs/; they are never committed.
`recipe_reference()` and `command_reference()` return Markdown and need no mkdocs.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import textwrap
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
import typer
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from thinkaloud.cli import app
from thinkaloud.config import Recipe
from thinkaloud.config.section import Section

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT = Path(__file__).parents[1]
FROM_ROOT = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Files beside docs/ that become pages."""

RECIPE_INTRODUCTION = """\
# Recipe reference

Made from the docstrings in `src/thinkaloud/config`, so it is always that of this version. A recipe is one TOML file;
`thinkaloud train RECIPE --dry-run` prints all fields of a recipe with their values, and `--set section.field=value`
changes one for a run. Unknown fields and values of another type are rejected before anything is loaded.
"""
COMMAND_INTRODUCTION = """\
# Command reference

Made from `thinkaloud --help`, so it is always that of this version. Results go to stdout, progress and messages to
stderr. Exit code 0 means done, 2 that the input is wrong (one line: expected, found, fix), 130 Ctrl-C, 1 anything else.
"""


@dataclass(frozen=True)
class Field:
    """A field of a recipe: its dotted name, and what the reference says about it."""

    name: str
    type: str
    default: str
    text: str


def recipe_fields(section: type[Section] = Recipe, prefix: str = "") -> Iterator[Field]:
    """The fields of a section and its parts in order; NAME stands for a name that the user chooses."""
    texts = docstrings(section)
    for name, field in section.model_fields.items():
        if part := section_of(field.annotation):
            yield from recipe_fields(part[0], f"{prefix}{name}{part[1]}.")
        else:
            yield Field(f"{prefix}{name}", type_text(field), default_text(field), texts[name])


def recipe_reference() -> str:
    """The page with every section and field of a recipe."""
    fields = list(recipe_fields())
    parts = [RECIPE_INTRODUCTION]
    for name, text in {"": inspect.cleandoc(Recipe.__doc__ or ""), **sections()}.items():
        parts.append(f"## {f'[{name}]' if name else 'Top level'}\n\n{links(text)}\n")
        for field in fields:
            if field.name.rpartition(".")[0] == name:
                parts.append(
                    f"### {field.name} {{#{field.name}}}\n\n{field.type}; {field.default}\n{{ .field }}\n\n"
                    f"{links(field.text)}\n"
                )
    return "\n".join(parts)


def sections(section: type[Section] = Recipe, prefix: str = "") -> dict[str, str]:
    """The parts of a section by name, such as `data` and `data.sources.NAME`, with their docstrings."""
    texts, found = docstrings(section), {}
    for name, field in section.model_fields.items():
        if part := section_of(field.annotation):
            inner = f"{prefix}{name}{part[1]}"
            found[inner] = "\n\n".join(filter(None, [inspect.cleandoc(part[0].__doc__ or ""), texts.get(name)]))
            found |= sections(part[0], f"{inner}.")
    return found


def section_of(annotation: Any) -> tuple[type[Section], str] | None:
    """The section that a field holds, with `.NAME` if it holds several by name."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation, ""
    if get_origin(annotation) is dict and (part := section_of(get_args(annotation)[1])):
        return part[0], ".NAME"
    return None


def docstrings(section: type[Section]) -> dict[str, str]:
    """The string below each field, as it stands in the source."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(section))).body
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for field, below in zip(definition.body, definition.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            assert isinstance(field.target, ast.Name)
            found[field.target.id] = inspect.cleandoc(str(below.value.value))
    return found


NUMBERS = {int: "whole number", float: "number", str: "text", bool: "true or false"}


def type_text(field: FieldInfo) -> str:
    """The type of a field in words, with its bounds."""
    return _words(field.annotation, field.metadata)


def _words(annotation: Any, metadata: Any = ()) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        inner = [part for one in arguments[1:] for part in getattr(one, "metadata", [one])]
        return _words(arguments[0], inner)
    if origin is Literal:
        *others, last = (f"`{json.dumps(value)}`" for value in arguments)
        return f"{', '.join(others)} or {last}" if others else last
    if origin in (Union, types.UnionType):
        return " or ".join(_words(one) for one in arguments if one is not type(None))
    if origin is tuple:
        return f"list of: {_words(arguments[0])}"
    if origin is dict:
        return "table" if arguments[1] is Any else f"table by name, of: {_words(arguments[1])}"
    return ", ".join([NUMBERS[annotation], *_bounds(metadata)])


def _bounds(metadata: Any) -> Iterator[str]:
    for one in metadata:
        match one:
            case annotated_types.Ge(ge=least):
                yield f"at least {least:g}"
            case annotated_types.Gt(gt=below):
                yield f"above {below:g}"
            case annotated_types.Le(le=most) if most < 10_000:  # larger bounds only catch slips
                yield f"at most {most:g}"
            case annotated_types.Lt(lt=above) if above < 10_000:
                yield f"below {above:g}"


def default_text(field: FieldInfo) -> str:
    """The default as it would stand in TOML."""
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "required"
    if value is None:
        return "absent by default"
    return f"default: `{json.dumps(value)}`"  # text, numbers, true, false and lists are written the same way in TOML


def links(text: str) -> str:
    """A docstring with the pages it names as links."""
    return re.sub(r"`?\bdocs/([\w-]+)\.md\b`?", r"[\1](../\1.md)", text)


def command_reference() -> str:
    """The page with every command, its arguments and its options, in the order of `thinkaloud --help`."""
    return "\n".join([COMMAND_INTRODUCTION, *(_command_text(path, *found) for path, *found in commands())])


def commands() -> Iterator[tuple[str, Any, Any]]:
    """Every command: its words, the command and its context."""
    root = typer.main.get_command(app)
    yield from _below(root, root.make_context("thinkaloud", [], resilient_parsing=True))


def _below(group: Any, context: Any) -> Iterator[tuple[str, Any, Any]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        inner = command.make_context(name, [], parent=context, resilient_parsing=True)
        if hasattr(command, "list_commands"):
            yield from _below(command, inner)
        else:
            yield inner.command_path, command, inner


def _command_text(path: str, command: Any, context: Any) -> str:
    usage = " ".join(command.get_usage(context).removeprefix("Usage: ").split())
    usage = re.sub(r"\{(\w[^}]*)\}", r"\1", usage)  # typer's marks for arguments
    usage = usage.replace("[[", "[").replace("]]", "]").replace("......", "...")
    lines = [f"## {path.removeprefix('thinkaloud ')}\n\n```text\n{usage}\n```\n"]
    for paragraph in (command.help or "").split("\n\n"):
        words = " ".join(paragraph.split())
        example = words.startswith("Example: ")
        lines.append(f"```console\n$ {words.removeprefix('Example: ')}\n```\n" if example else f"{escaped(words)}\n")
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record and record[0] != "--help":
            lines.append(f"`{record[0]}`\n:   {escaped(links(' '.join(record[1].split()))) or '(no help)'}\n")
    return "\n".join(lines)


def escaped(text: str) -> str:
    """Text in which only backticks and links are Markdown."""
    parts = text.split("`")  # the odd ones are code
    parts[::2] = [part.replace("<", "&lt;").replace("*", "&#42;") for part in parts[::2]]
    return "`".join(parts)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made from the code and from the files beside docs/ (called by mkdocs)."""
    from mkdocs.structure.files import File

    pages = {"reference/recipe.md": recipe_reference(), "reference/commands.md": command_reference()}
    for name, page in FROM_ROOT.items():
        pages[page] = (ROOT / name).read_text("utf-8").replace("](docs/", "](")
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Links to CONTRIBUTING.md and CHANGELOG.md lead to their pages; intervals stay on one line (called by mkdocs)."""
    for name, page in FROM_ROOT.items():
        markdown = re.sub(rf"\]\(((?:\.\./)*)\.\./{re.escape(name)}", rf"](\1{page}", markdown)
    return re.sub(r"(\d) %(\**) \[(\d+), (\d+)\]", "\\1\u00a0%\\2\u00a0[\\3,\u00a0\\4]", markdown)
