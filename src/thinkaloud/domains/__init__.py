"""The domains: one file each, one line each in the registry.

To add a domain: write `domains/<name>.py` with a `DOMAIN = Domain(name=..., kind=..., description=..., score=...)`
whose scorer takes (task, reasoning, answer, sandbox) and returns a `DomainScore`; mirror it in
`tests/domains/test_<name>.py`; add its line to `REGISTRY` below. A `verifiable` scorer calls `correct`, `wrong`,
`no_answer` or `unscorable`; a `heuristic` one calls `graded.score_graded`. Scorers read hostile text: linear time, no
exceptions, no code run here.
"""

from __future__ import annotations

from thinkaloud.domains import (
    coding,
    creative_ideation,
    creative_writing,
    logic,
    math,
    science,
    summarization,
)
from thinkaloud.domains.base import FULL, Domain, DomainScore
from thinkaloud.errors import UserError, nearest

REGISTRY: dict[str, Domain] = {
    "math": math.DOMAIN,
    "coding": coding.DOMAIN,
    "science": science.DOMAIN,
    "logic": logic.DOMAIN,
    "creative_writing": creative_writing.DOMAIN,
    "creative_ideation": creative_ideation.DOMAIN,
    "summarization": summarization.DOMAIN,
}

__all__ = ["FULL", "REGISTRY", "Domain", "DomainScore", "domain"]


def domain(name: str) -> Domain:
    """The domain called `name`.

    Raises:
        UserError: there is none.
    """
    if name not in REGISTRY:
        raise UserError(f"expected a domain, found {name!r}{nearest(name, REGISTRY)}")
    return REGISTRY[name]
