"""The section `domains` of a recipe: domains of the user's own, each with a scorer."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from thinkaloud.config.section import Section


class DomainConfig(Section):
    """A domain that the package does not have; its tasks come from `data.sources`."""

    scorer: str = Field(min_length=1)
    """`FILE.py:FUNCTION`, called with (task, reasoning, answer, sandbox): how its answers are scored."""
    kind: Literal["verifiable", "heuristic"] = "verifiable"
    """`verifiable`: answers are right or wrong. `heuristic`: the scorer grades them."""
    description: str = ""
    """How answers are scored, in one line."""
