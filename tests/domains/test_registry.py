"""The registry: seven domains, in order, each described."""

from __future__ import annotations

import pytest

from thinkaloud.domains import REGISTRY, domain
from thinkaloud.errors import UserError
from thinkaloud.records import DOMAINS, Task


def test_the_seven_domains() -> None:
    assert tuple(REGISTRY) == DOMAINS
    for name, entry in REGISTRY.items():
        assert entry.name == name
        assert 20 < len(entry.description) < 160
        assert "\n" not in entry.description
    assert [name for name, entry in REGISTRY.items() if entry.kind == "heuristic"] == list(DOMAINS[4:])


def test_unknown_domains_are_named_with_the_nearest() -> None:
    assert domain("math").name == "math"
    with pytest.raises(UserError, match=r"expected a domain, found 'maths' \(did you mean 'math'\?\)"):
        domain("maths")


def test_a_batch_is_one_by_one_unless_the_domain_says_otherwise() -> None:
    task = Task(id="t", domain="math", source="test", question="2 + 2?", answer="4")
    found = REGISTRY["math"].score_batch([(task, "", "4"), (task, "", "5")])
    assert [score.value for score in found] == [0.8, 0.0]
