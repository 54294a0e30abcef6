"""The registry: which domains there are, in the order of every table and chart, and how each is scored.

A registry is a value. `BUILTIN` has the package's domains; `registry_of` adds those that a recipe defines.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from thinkaloud.domains import (
    coding,
    creative_ideation,
    creative_writing,
    logic,
    math,
    reference,
    science,
    summarization,
)
from thinkaloud.domains.base import Domain
from thinkaloud.domains.scorer_file import ScorerFile
from thinkaloud.errors import UserError, nearest

if TYPE_CHECKING:  # pydantic takes longer to import than all scorers together
    from thinkaloud.config import Recipe, SourceConfig

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}")


class Registry(Mapping[str, Domain]):
    """Domains by name; immutable."""

    def __init__(self, domains: Iterable[Domain]) -> None:
        self._domains = {domain.name: domain for domain in domains}

    def __getitem__(self, name: str) -> Domain:
        return self._domains[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._domains)

    def __len__(self) -> int:
        return len(self._domains)

    def __hash__(self) -> int:
        return hash(tuple(self._domains))

    def domain(self, name: str) -> Domain:
        """The domain called `name`.

        Raises:
            UserError: There is none.
        """
        if name not in self._domains:
            raise UserError(f"expected a domain, found {name!r}{nearest(name, self._domains)}")
        return self._domains[name]

    def is_verifiable(self, name: str) -> bool:
        """Whether answers of a domain are right or wrong; raises UserError for an unknown name."""
        return self.domain(name).kind == "verifiable"

    def needs_gold(self, name: str) -> bool:
        """Whether the gold answer of a domain must earn full marks; raises UserError for an unknown name."""
        return self.is_verifiable(name) or self.domain(name).uses_gold

    def load_scorers(self) -> None:
        """Load the scorer files, so that a wrong path is reported before long work; raises UserError."""
        for domain in self._domains.values():
            if isinstance(domain.score, ScorerFile):
                domain.score.load()

    def with_domains(self, domains: Iterable[Domain]) -> Registry:
        """A registry with these domains too."""
        return Registry([*self._domains.values(), *domains])


BUILTIN = Registry(
    [
        math.DOMAIN,
        coding.DOMAIN,
        science.DOMAIN,
        logic.DOMAIN,
        creative_writing.DOMAIN,
        creative_ideation.DOMAIN,
        summarization.DOMAIN,
    ]
)
"""The package's own domains."""

SCORERS = BUILTIN.with_domains([reference.DOMAIN])
"""What `scored_as` may name: the package's domains, and scorers that belong to no domain of its own."""


def in_order(names: Collection[str]) -> list[str]:
    """Names of domains in the order of every table and chart; a recipe's own domains come last, by name."""
    return [name for name in BUILTIN if name in names] + sorted(set(names).difference(BUILTIN))


def registry_of(recipe: Recipe) -> Registry:
    """The package's domains, those of `[domains]`, and those that a source names with `scored_as`.

    Raises:
        UserError: A name is not valid or is defined twice, a scorer is unknown, or `data.domains` names a domain that
            does not exist.
    """
    own = {name: _defined(name, recipe) for name in recipe.domains}
    for source, config in recipe.data.sources.items():
        if config.domain is not None and (alias := _alias(source, config, own)):
            own.setdefault(alias.name, alias)
    registry = BUILTIN.with_domains(own.values())
    for name in recipe.data.domains:
        try:
            registry.domain(name)
        except UserError as error:
            raise UserError(f"data.domains: {error}") from None
    return registry


def _defined(name: str, recipe: Recipe) -> Domain:
    """A domain of `[domains.NAME]`."""
    config = recipe.domains[name]
    _check_name(f"domains.{name}", name)
    if name in BUILTIN:
        raise UserError(f"domains.{name}: the package has a domain of this name; choose another name")
    return Domain(
        name=name,
        kind=config.kind,
        description=config.description or f"defined by the recipe, scored by {config.scorer}",
        score=ScorerFile(f"domains.{name}.scorer", config.scorer),
    )


def _alias(source: str, config: SourceConfig, own: Mapping[str, Domain]) -> Domain | None:
    """The domain that a source defines by `scored_as`; None if its domain is defined elsewhere."""
    where, name = f"data.sources.{source}", config.domain or ""
    _check_name(where, name)
    if config.scored_as is None or (config.scored_as == name != reference.DOMAIN.name):
        if name in BUILTIN or name in own:
            return None
        raise UserError(
            f"{where}: {name!r} is not a domain of the package; set scored_as to one of {', '.join(SCORERS)}, or "
            f"define [domains.{name}] with a scorer"
        )
    if config.scored_as not in SCORERS:
        raise UserError(
            f"{where}: expected scored_as to be one of {', '.join(SCORERS)}; found {config.scored_as!r}"
            + nearest(config.scored_as, SCORERS)
        )
    known = own.get(name) or BUILTIN.get(name)
    alias = replace(
        SCORERS[config.scored_as],
        name=name,
        description=f"defined by the recipe, scored as {config.scored_as}",
    )
    if known is not None and known != alias:
        raise UserError(
            f"{where}: domain {name!r} is already defined ({known.description}); give this source another domain"
        )
    return alias


def _check_name(where: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise UserError(
            f"{where}: expected a domain name of up to 40 letters, digits, '-' and '_', a letter first; found "
            f"{name[:60]!r}"
        )
