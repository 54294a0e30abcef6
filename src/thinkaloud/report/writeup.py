"""writeup.md: the run in Markdown, for people who read it beside the code.

What models wrote goes into code blocks whose fence is longer than any run of back-quotes in them; short texts in
tables lose what Markdown or HTML would read as markup.
"""

from __future__ import annotations

import re
from pathlib import Path

from thinkaloud.report.run_data import Run
from thinkaloud.report.samples import printable, samples
from thinkaloud.report.sections import sections
from thinkaloud.report.tables import Table

_PER_DOMAIN = 1
_MAX_CHARS = 1_500
_LINE_FEED = "\ue000"
"""Stands for a line feed in code blocks while the blank lines around them are tidied; `printable` lets none in."""


def writeup(run: Run, figures: dict[str, Path]) -> str:
    """The whole write-up.

    Args:
        run: the run.
        figures: the charts that were drawn, by name; linked relative to the run directory.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(  # Markdown, not HTML: every text from outside goes through `fence` or `cell`
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
    """`text` as a code block that nothing in it can close."""
    ticks = "`" * max(3, 1 + max(map(len, re.findall(r"`+", text)), default=0))
    return f"{ticks}text\n{text}\n{ticks}".replace("\n", _LINE_FEED)


def cell(text: object) -> str:
    """One line of plain text: no white space but spaces, and Markdown's and HTML's own characters escaped."""
    flat = " ".join(printable(str(text), 500).split())
    return re.sub(r"([\\`*_<>|#&~$]|\](?=[(\[:]))", r"\\\1", flat)


def markdown_table(table: Table | None) -> str:
    """A table with its caption above; empty for None."""
    if table is None:
        return ""
    lines = [f"| {' | '.join(map(cell, table.header))} |", "|" + " --- |" + " ---: |" * (len(table.header) - 1)]
    for number, row in enumerate(table.rows):
        cells = list(map(cell, row))
        if table.bold_last and number == len(table.rows) - 1:
            cells = [f"**{text}**" for text in cells]
        lines.append(f"| {' | '.join(cells)} |")
    return f"**{cell(table.caption)}**\n\n" + "\n".join(lines)
