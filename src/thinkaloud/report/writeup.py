"""writeup.md: the report in Markdown.

Model output is in code blocks with a fence longer than any run of backquotes in it; short texts in tables are escaped
for Markdown and HTML.
"""

from __future__ import annotations

import re
from pathlib import Path

from thinkaloud.report.run_data import Run
from thinkaloud.report.samples import samples
from thinkaloud.report.sections import sections
from thinkaloud.report.tables import Table
from thinkaloud.storage.unicode import printable

_PER_DOMAIN = 1
_MAX_CHARS = 1_500
_LINE_FEED = "\ue000"
"""Replaces line feeds of code blocks while blank lines around them are collapsed; `printable` removes it from texts."""


def writeup(run: Run, figures: dict[str, Path]) -> str:
    """The whole write-up.

    Args:
        run: The run.
        figures: The charts by name; linked relative to the run directory.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(  # Markdown, not HTML: external text goes through `fence` or `cell`
        loader=PackageLoader("thinkaloud.report", "."),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters.update(fence=fence, cell=cell, table=markdown_table)
    text = environment.get_template("writeup.md.j2").render(
        **sections(run),
        figures={name: path.relative_to(run.path).as_posix() for name, path in figures.items()},
        split=run.summary.get("split", "unknown"),
        samples=samples(run, per_domain=_PER_DOMAIN, max_chars=_MAX_CHARS),
    )
    return re.sub(r"\n{3,}", "\n\n", text).replace(_LINE_FEED, "\n")


def fence(text: str) -> str:
    """`text` as a code block with a fence that does not occur in it."""
    ticks = "`" * max(3, 1 + max(map(len, re.findall(r"`+", text)), default=0))
    return f"{ticks}text\n{text}\n{ticks}".replace("\n", _LINE_FEED)


def cell(text: object) -> str:
    """`text` on one line, with the special characters of Markdown and HTML escaped."""
    flat = " ".join(printable(str(text), 500).split())
    return re.sub(r"([\\`*_<>|#&~$]|\](?=[(\[:]))", r"\\\1", flat)


def markdown_table(table: Table | None) -> str:
    """A table below its caption; empty for None."""
    if table is None:
        return ""
    lines = [f"| {' | '.join(map(cell, table.header))} |", "|" + " --- |" + " ---: |" * (len(table.header) - 1)]
    for number, row in enumerate(table.rows):
        cells = list(map(cell, row))
        if table.bold_last and number == len(table.rows) - 1:
            cells = [f"**{text}**" for text in cells]
        lines.append(f"| {' | '.join(cells)} |")
    return f"**{cell(table.caption)}**\n\n" + "\n".join(lines)
