"""The documentation: pages made from the code hold all of it, and written pages name only what exists."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from thinkaloud.config import Recipe

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

import docs_pages  # noqa: E402

PAGES = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
PRESENT = [page for page in PAGES if page.name != "log.md"]  # the log names what there was


def fields(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """The dotted names of all fields, found without the generator's own code."""
    for name, field in model.model_fields.items():
        parts = [field.annotation, *get_args(field.annotation)]
        models = [part for part in parts if isinstance(part, type) and issubclass(part, BaseModel)]
        named = ".NAME" if field.annotation not in models else ""
        yield from fields(models[0], f"{prefix}{name}{named}.") if models else [f"{prefix}{name}"]


FIELDS = list(fields(Recipe))
OPTIONS = {
    path.removeprefix("thinkaloud "): {
        option for one in command.get_params(context) for option in [*one.opts, *one.secondary_opts]
    }
    for path, command, context in docs_pages.commands()
}


def test_the_recipe_reference_has_every_field_with_its_docstring() -> None:
    page = docs_pages.recipe_reference()
    found = re.findall(r"^### (\S+) \{#\1\}\n\n(.+); (.+)\n\{ \.field \}\n\n(.+)", page, re.MULTILINE)
    assert sorted(name for name, *_ in found) == sorted(FIELDS)
    assert len(FIELDS) > 100
    described = {name: rest for name, *rest in found}
    assert described["rollout.group_size"] == ["whole number, at least 2", "default: `8`", "Completions per prompt."]
    assert described["grpo.clip"][:2] == ['`"ppo"` or `"cispo"`', 'default: `"ppo"`']
    assert described["data.sources.NAME.path"][1] == "absent by default"
    assert described["name"][:2] == ["text", "required"]
    assert described["grpo.epsilon"][0] == "number, above 0, below 1"


def test_a_page_that_a_docstring_names_is_a_link() -> None:
    assert docs_pages.links("Settings (`docs/tunix.md`).") == "Settings ([tunix](../tunix.md))."
    assert "[cold-start](../cold-start.md)" in docs_pages.recipe_reference()


def test_a_field_without_a_docstring_cannot_be_left_out() -> None:
    class Bare(docs_pages.Section):
        documented: int = 1
        """What it is."""
        bare: int = 2

    with pytest.raises(KeyError, match="bare"):
        list(docs_pages.recipe_fields(Bare))


def test_the_command_reference_has_every_command_and_option() -> None:
    page = docs_pages.command_reference()
    sections = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))
    assert sections.keys() == OPTIONS.keys()
    assert {"train", "eval", "sandbox check"} <= sections.keys()
    for name, options in OPTIONS.items():
        assert f"```text\nthinkaloud {name} [OPTIONS]" in sections[name]
        assert "```console\n$ thinkaloud " in sections[name], f"{name} has no example"
        for option in options - {"--help"}:
            if option.startswith("-"):
                assert re.search(rf"^`.*{option}\b.*`$", sections[name], re.MULTILINE), f"{name} {option}"
        assert "(no help)" not in sections[name], name


def test_help_texts_are_no_markup() -> None:
    assert docs_pages.escaped("x <= 3 * y, `a < b`") == "x &lt;= 3 &#42; y, `a < b`"


def commands_in(text: str) -> Iterator[list[str]]:
    """The words of every `thinkaloud` command in code blocks and in inline code."""
    blocks = re.findall(r"^ *```\w*\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL))
    for code in [*lines, *inline]:
        if found := re.search(r"(?:^|[$!|] ?)thinkaloud ((?:[a-z]+|--help)\b.*)", code):
            yield shlex.split(found[1], comments=True)


@pytest.mark.parametrize("page", PRESENT, ids=lambda page: page.stem)
def test_commands_and_options_on_a_page_exist(page: Path) -> None:
    for words in commands_in(page.read_text("utf-8")):
        name = next((name for name in OPTIONS if words[: len(name.split())] == name.split()), "")
        if words[0] in {"--help", "sandbox"} and not name:
            continue
        assert name, f"thinkaloud {' '.join(words)}"
        for word in words:
            if word.startswith("--"):
                assert word.partition("=")[0] in OPTIONS[name], f"thinkaloud {' '.join(words)}"


@pytest.mark.parametrize("page", PRESENT, ids=lambda page: page.stem)
def test_recipe_fields_on_a_page_exist(page: Path) -> None:
    text = page.read_text("utf-8")
    sections = {name.rpartition(".")[0] for name in FIELDS} - {"", "model"}
    named = re.findall(rf"(?<![\w.])((?:{'|'.join(map(re.escape, sections))})\.[a-z_]+)\b(?!\.\w|\()", text)
    files = {f"{section}.{end}" for section in sections for end in ("md", "py", "json", "jsonl", "toml")}
    tables = {section.removesuffix(".NAME") for section in sections}
    assert [name for name in named if name not in {*FIELDS, *files, *tables}] == []


def test_metrics_that_troubleshooting_names_are_in_the_glossary() -> None:
    text = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
    glossary = (ROOT / "docs" / "glossary.md").read_text("utf-8")
    health = (ROOT / "docs" / "long-runs.md").read_text("utf-8")
    named = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", text)) - {"scored_as"}
    assert {"signal_share", "truncated_rate", "zero_std_fraction", "grad_norm", "no_format"} <= named
    assert [name for name in sorted(named) if f"`{name}`" not in glossary + health] == []


def test_troubleshooting_answers_ten_complaints_in_the_same_way() -> None:
    text = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
    complaints = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    assert len(complaints) == 10
    for complaint in complaints:
        assert "**Symptom" in complaint, complaint.splitlines()[0]
        assert "**Show the cause.**" in complaint, complaint.splitlines()[0]
        assert "fix" in complaint.lower(), complaint.splitlines()[0]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_to_files_work_in_the_repository(page: Path) -> None:
    made = {ROOT / "docs" / "reference" / name for name in ("recipe.md", "commands.md")}
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"https?:|#", target):
            path = (page.parent / target.partition("#")[0]).resolve()
            assert path.exists() or path in made, target


def test_the_log_is_newest_first_and_says_what_was_learned() -> None:
    text = (ROOT / "docs" / "log.md").read_text("utf-8")
    entries = re.findall(r"^## (\d{4}-\d\d-\d\d): .+\n\n(.*)", text, re.MULTILINE)
    assert len(entries) == len(re.findall(r"^## ", text, re.MULTILINE)) > 30
    dates = [date for date, _ in entries]
    assert dates == sorted(dates, reverse=True)
    assert [first for _, first in entries if not re.fullmatch(r"\*\*Learned: .+\.\*\*", first)] == []


def test_readme_fits_one_screen_and_has_the_commands() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert len(text.splitlines()) <= 90
    assert text.count("<!-- result: start -->") == text.count("<!-- result: end -->") == 1


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text("utf-8")
    named = set(re.findall(r": ([\w/-]+\.md)$", navigation, re.MULTILINE))
    written = {page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")}
    made = {"reference/recipe.md", "reference/commands.md", *docs_pages.FROM_ROOT.values()}
    assert named == written | made


def test_links_to_files_beside_docs_lead_to_their_pages() -> None:
    changed: Any = docs_pages.on_page_markdown("[a](../CONTRIBUTING.md#b), [c](../../CHANGELOG.md), [d](data.md)")
    assert changed == "[a](contributing.md#b), [c](../changelog.md), [d](data.md)"


def test_an_interval_stays_on_one_line() -> None:
    changed: Any = docs_pages.on_page_markdown("| 0 % [0, 28] | **44 %** [33, 56] |")
    assert changed == "| 0\u00a0%\u00a0[0,\u00a028] | **44\u00a0%**\u00a0[33,\u00a056] |"
