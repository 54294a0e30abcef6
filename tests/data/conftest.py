"""What tests of the data share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from thinkaloud import domains


@pytest.fixture
def own_domains() -> Iterator[None]:
    """Domains that a test registers are gone after it."""
    registry, aliases = dict(domains.REGISTRY), dict(domains._ALIASES)
    yield
    for live, before in ((domains.REGISTRY, registry), (domains._ALIASES, aliases)):
        live.clear()
        live.update(before)
