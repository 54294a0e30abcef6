"""The sources: one adapter each, by kind.

To add one: write a function from a row's values to a `Task` (`base.new_task`) in the module of its kind, add its
`Source` to that module's `SOURCES` and its name to `config/sources.py`. A row that is not a task raises `InvalidRow`
with a fixed phrase.
"""

from __future__ import annotations

from thinkaloud.config.sources import KNOWN_SOURCES
from thinkaloud.data.sources import choice, coding, math, summaries, writing, yes_no
from thinkaloud.data.sources.base import InvalidRow, Source
from thinkaloud.data.sources.own import own_source

_KINDS = (math, coding, choice, yes_no, writing, summaries)
_FOUND = {source.name: source for kind in _KINDS for source in kind.SOURCES}

SOURCES: dict[str, Source] = {name: _FOUND[name] for name in KNOWN_SOURCES if name in _FOUND}
"""By name, in the order of tables. `starter` is not among them: its tasks ship ready (`data/starter.py`)."""

__all__ = ["SOURCES", "InvalidRow", "Source", "own_source"]
