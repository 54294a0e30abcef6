"""The domains: one file each, one line each in the registry.

To add a domain: write `domains/<name>.py` with a `DOMAIN = Domain(name=..., kind=..., description=..., score=...)`
whose scorer takes (task, reasoning, answer, sandbox) and returns a `DomainScore`; mirror it in
`tests/domains/test_<name>.py`; add its line to `REGISTRY` below. A `verifiable` scorer calls `correct`, `wrong`,
`no_answer` or `unscorable`; a `heuristic` one calls `graded.score_graded`. Scorers read hostile text: linear time, no
exceptions, no code run here.

A recipe may name domains of the user's own, each scored as one of these: `register_alias`.
"""

from __future__ import annotations

import re
from dataclasses import replace

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
from thinkaloud.records import DOMAINS

REGISTRY: dict[str, Domain] = {
    "math": math.DOMAIN,
    "coding": coding.DOMAIN,
    "science": science.DOMAIN,
    "logic": logic.DOMAIN,
    "creative_writing": creative_writing.DOMAIN,
    "creative_ideation": creative_ideation.DOMAIN,
    "summarization": summarization.DOMAIN,
}

_ALIASES: dict[str, str] = {}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}")

__all__ = ["FULL", "REGISTRY", "Domain", "DomainScore", "domain", "register_alias"]


def domain(name: str) -> Domain:
    """The domain called `name`.

    Raises:
        UserError: there is none.
    """
    if name not in REGISTRY:
        raise UserError(f"expected a domain, found {name!r}{nearest(name, REGISTRY)}")
    return REGISTRY[name]


def register_alias(name: str, scored_as: str) -> Domain:
    """The domain `name` of the user's own, scored as `scored_as`; the same again changes nothing.

    Raises:
        UserError: the name can't be one, is one of the seven with another verifier, or has another meaning already.
    """
    if not _NAME.fullmatch(name):
        raise UserError(
            f"expected a domain's name of up to 40 letters, digits, '-' and '_', a letter first; found {name[:60]!r}"
        )
    known = _ALIASES.get(name, name if name in DOMAINS else scored_as)
    if known != scored_as:
        raise UserError(
            f"expected domain {name!r} to be scored as {known} everywhere, found {scored_as}; give it another name"
        )
    if scored_as not in DOMAINS:
        raise UserError(f"expected scored_as to be one of {', '.join(DOMAINS)}; found {scored_as!r}")
    if name not in REGISTRY:
        base = REGISTRY[scored_as]
        REGISTRY[name] = replace(base, name=name, description=f"a domain of the user's own, scored as {scored_as}")
        _ALIASES[name] = scored_as
    return REGISTRY[name]
