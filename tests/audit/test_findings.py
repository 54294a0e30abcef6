"""The order of levels, and the table of findings."""

from __future__ import annotations

import io

from rich.console import Console

from thinkaloud.audit.findings import Finding, Level, findings_table, worst


def finding(level: Level, message: str = "m", remedy: str = "") -> Finding:
    return Finding(name="n", level=level, message=message, remedy=remedy)


def test_the_gravest_counts() -> None:
    assert worst([]) is Level.OK
    assert worst([finding(Level.OK), finding(Level.STOP), finding(Level.WARNING)]) is Level.STOP
    assert worst([finding(Level.WARNING), finding(Level.OK)]) is Level.WARNING


def test_model_text_is_no_markup() -> None:
    stream = io.StringIO()
    Console(file=stream, width=80).print(findings_table([finding(Level.STOP, "[red]no[/red] [/]", "do [this]")]))
    assert "[red]no[/red] [/]" in stream.getvalue()
    assert "fix: do [this]" in stream.getvalue()
