"""A finding: the check, its level, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from rich.markup import escape
from rich.table import Table


class Level(StrEnum):
    """`ok`: nothing to do; `warning`: the run works, but worse than it could; `stop`: the run would fail."""

    OK = "ok"
    WARNING = "warning"
    STOP = "stop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of an audit. `remedy` is empty if there is nothing to do; `figures` is JSON-ready."""

    name: str
    level: Level
    message: str
    remedy: str = ""
    figures: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "name": self.name,
            "level": str(self.level),
            "message": self.message,
            "remedy": self.remedy,
            "figures": self.figures,
        }


def worst(findings: Sequence[Finding]) -> Level:
    """The most severe level."""
    order = list(Level)
    return max((finding.level for finding in findings), key=order.index, default=Level.OK)


_COLORS = {Level.OK: "green", Level.WARNING: "yellow", Level.STOP: "bold red"}


def findings_table(findings: Sequence[Finding]) -> Table:
    """A table of all findings, for the terminal."""
    table = Table(show_edge=False, pad_edge=False, show_lines=True)
    table.add_column("level")
    table.add_column("check", overflow="fold")
    table.add_column("finding", overflow="fold")
    for finding in findings:
        text = escape(finding.message) + (f"\n[bold]fix:[/bold] {escape(finding.remedy)}" if finding.remedy else "")
        table.add_row(f"[{_COLORS[finding.level]}]{finding.level}[/]", escape(finding.name), text)
    return table
