"""The package's domains, by name."""

from __future__ import annotations

from thinkaloud.domains import BUILTIN

DOMAINS = tuple(BUILTIN)
VERIFIABLE = tuple(name for name in BUILTIN if BUILTIN.is_verifiable(name))
HEURISTIC = tuple(name for name in BUILTIN if not BUILTIN.is_verifiable(name))
