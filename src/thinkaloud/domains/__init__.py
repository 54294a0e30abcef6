"""How the answers of each domain are scored.

`registry.py` lists the domains; each has a file that is named after it. A scorer takes (task, reasoning, answer,
sandbox) and returns a `DomainScore`: `correct`, `wrong`, `no_answer` or `unscorable` in a verifiable domain,
`heuristic.score_graded` in a heuristic one. Scorers read hostile text: linear time, no exceptions, no code run here.

A recipe can define further domains, scored by a file of the user's own (`[domains.NAME]`) or as another domain
(`scored_as`), for which there is also `reference.py`: free text against a gold answer; see CONTRIBUTING.md.
"""

from thinkaloud.domains.base import FULL, Domain, DomainScore, correct, no_answer, unscorable, wrong
from thinkaloud.domains.registry import BUILTIN, SCORERS, Registry, in_order, registry_of

__all__ = [
    "BUILTIN",
    "FULL",
    "SCORERS",
    "Domain",
    "DomainScore",
    "Registry",
    "correct",
    "in_order",
    "no_answer",
    "registry_of",
    "unscorable",
    "wrong",
]
