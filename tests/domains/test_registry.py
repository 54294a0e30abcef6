"""The registry: seven domains, in order, each described."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.domains import DOMAINS, VERIFIABLE
from thinkaloud.config import Recipe
from thinkaloud.config.load import parse_recipe
from thinkaloud.config.sources import KNOWN_SOURCES
from thinkaloud.data.starter import has_starter
from thinkaloud.domains import BUILTIN, in_order, registry_of
from thinkaloud.errors import UserError
from thinkaloud.evaluate.summary import Row, summarize
from thinkaloud.records import Completion, Status, Task
from thinkaloud.rewards import score_batch
from thinkaloud.rewards.gold import check_golds


def test_the_seven_domains() -> None:
    assert KNOWN_SOURCES["starter"] == DOMAINS, "the order of recipes is that of tables"
    assert all(has_starter(name) for name in DOMAINS)
    for name, entry in BUILTIN.items():
        assert entry.name == name
        assert 20 < len(entry.description) < 160
        assert "\n" not in entry.description
    assert VERIFIABLE == ("math", "coding", "science", "logic")
    assert [name for name in BUILTIN if BUILTIN[name].runs_code] == ["coding"]


def test_unknown_domains_are_named_with_the_nearest() -> None:
    assert BUILTIN.domain("math").name == "math"
    with pytest.raises(UserError, match=r"found 'maths' .*'math'"):
        BUILTIN.domain("maths")
    with pytest.raises(UserError, match="poetry"):
        BUILTIN.is_verifiable("poetry")


def test_own_domains_come_last_in_tables() -> None:
    assert in_order({"zoo", "logic", "math", "art"}) == ["math", "logic", "art", "zoo"]


def test_a_batch_is_one_by_one_unless_the_domain_says_otherwise() -> None:
    task = Task(id="t", domain="math", source="test", question="2 + 2?", answer="4")
    found = BUILTIN["math"].score_batch([(task, "", "4"), (task, "", "5")])
    assert [score.value for score in found] == [0.8, 0.0]


def recipe(sources: dict[str, Any], **sections: Any) -> Recipe:
    tables = {name: {"path": "x.jsonl", **table} for name, table in sources.items()}
    return parse_recipe(
        {"name": "r", "model": "tiny", "data": {"sources": tables, **sections.pop("data", {})}, **sections}
    )


def test_a_domain_scored_as_another() -> None:
    registry = registry_of(recipe({"mine": {"domain": "geography", "scored_as": "science"}}))
    assert list(registry) == [*DOMAINS, "geography"]
    assert "geography" not in BUILTIN
    task = Task(id="t", domain="geography", source="own", question="Peru?", answer="Lima", choices=("Quito", "Lima"))
    assert check_golds([task], registry=registry)[0].passed
    assert registry["geography"].score(task, "", "Quito", None).status == Status.WRONG
    right = Completion(text="<reasoning>I recall it.</reasoning><answer>Lima</answer>")
    row = Row.of(task, right, score_batch([task], [right], registry=registry)[0])
    assert summarize([row], registry)["domains"]["geography"]["accuracy"] == 1.0
    with pytest.raises(UserError, match="geography"):
        score_batch([task], [right])


def test_two_recipes_may_score_one_domain_differently() -> None:
    first, second = (
        registry_of(recipe({"mine": {"domain": "geography", "scored_as": n}})) for n in ("science", "math")
    )
    assert first["geography"].score is BUILTIN["science"].score
    assert second["geography"].score is BUILTIN["math"].score


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        ({"a": {"domain": "math", "scored_as": "science"}}, r"data\.sources\.a: .*'math' is already defined"),
        (
            {"a": {"domain": "geo", "scored_as": "science"}, "b": {"domain": "geo", "scored_as": "logic"}},
            r"data\.sources\.b: .*'geo' is already defined .*science",
        ),
        ({"a": {"domain": "history", "scored_as": "sciense"}}, "'sciense'.*'science'"),
        ({"a": {"domain": "history"}}, r"scored_as.*\[domains\.history\]"),
        ({"a": {"domain": "geo/graphy", "scored_as": "math"}}, "a letter first; found 'geo/graphy'"),
        ({"a": {"domain": "x" * 41, "scored_as": "math"}}, "up to 40 letters"),
    ],
)
def test_a_source_with_an_impossible_domain(sources: dict[str, Any], expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        registry_of(recipe(sources))


def test_a_defined_domain_needs_a_name_of_its_own() -> None:
    with pytest.raises(UserError, match=r"domains\.math"):
        registry_of(recipe({"a": {"domain": "math"}}, domains={"math": {"scorer": "x.py:score"}}))
    with pytest.raises(UserError, match=r"data\.domains: .*'poetry'"):
        registry_of(recipe({"a": {"domain": "math"}}, data={"domains": ["math", "poetry"]}))


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
    found = BUILTIN[name].score(task, reasoning, answer, None)
    assert 0.0 <= found.value <= 0.8 + 1e-9
    assert sum(found.components.values()) == pytest.approx(found.value)
    assert "\n" not in found.explanation
