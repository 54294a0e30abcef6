"""The registry: seven domains, in order, each described."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinkaloud.domains import REGISTRY, domain
from thinkaloud.errors import UserError
from thinkaloud.records import DOMAINS, Task


def test_the_seven_domains() -> None:
    assert tuple(REGISTRY)[: len(DOMAINS)] == DOMAINS
    for name, entry in REGISTRY.items():
        assert entry.name == name
        assert 20 < len(entry.description) < 160
        assert "\n" not in entry.description
    assert [name for name in DOMAINS if REGISTRY[name].kind == "heuristic"] == list(DOMAINS[4:])


def test_unknown_domains_are_named_with_the_nearest() -> None:
    assert domain("math").name == "math"
    with pytest.raises(UserError, match=r"expected a domain, found 'maths' \(did you mean 'math'\?\)"):
        domain("maths")


def test_a_batch_is_one_by_one_unless_the_domain_says_otherwise() -> None:
    task = Task(id="t", domain="math", source="test", question="2 + 2?", answer="4")
    found = REGISTRY["math"].score_batch([(task, "", "4"), (task, "", "5")])
    assert [score.value for score in found] == [0.8, 0.0]


FRAGMENTS = (
    "no",
    "yes",
    "B)",
    "(A)",
    "4",
    "1/2",
    "\\frac{",
    "}",
    "=",
    "or",
    "the",
    "whale",
    "\n",
    ". ",
    "- ",
    "\u200b",
    "½",
)
TEXTS = st.one_of(st.text(max_size=60), st.lists(st.sampled_from(FRAGMENTS), max_size=30).map(" ".join))


@pytest.mark.parametrize("name", [name for name in DOMAINS if name != "coding"])
@settings(deadline=None, max_examples=60)  # math-verify's process takes a second to start
@given(reasoning=TEXTS, answer=TEXTS, gold=TEXTS, question=TEXTS, choices=st.lists(TEXTS, max_size=5))
def test_no_text_breaks_a_scorer(
    name: str, reasoning: str, answer: str, gold: str, question: str, choices: list[str]
) -> None:
    task = Task(id="t", domain=name, source="test", question=question, answer=gold, choices=tuple(choices))
    found = REGISTRY[name].score(task, reasoning, answer, None)
    assert 0.0 <= found.value <= 0.8 + 1e-9
    assert sum(found.components.values()) == pytest.approx(found.value)
    assert "\n" not in found.explanation
