"""Whether the scorer of a domain suits its gold answers."""

from __future__ import annotations

from typing import Any

from thinkaloud.audit.findings import Level
from thinkaloud.audit.golds import check_scorers
from thinkaloud.config import Recipe
from thinkaloud.config.load import parse_recipe
from thinkaloud.data import Pool
from thinkaloud.records import Task

SENTENCE = "They carry water and salts from the roots up into the leaves."


def recipe(domain: str, scored_as: str | None = None) -> Recipe:
    source: dict[str, Any] = {"path": "x.csv", "domain": domain} | ({"scored_as": scored_as} if scored_as else {})
    return parse_recipe({"name": "r", "model": "tiny", "data": {"sources": {"mine": source}}})


def pool(domain: str, *answers: str, **own: Any) -> Pool:
    tasks = [
        Task(id=f"t{i}", domain=domain, source="mine", question=f"Q{i}?", answer=answer, **own)
        for i, answer in enumerate(answers)
    ]
    return Pool.of(tasks, [domain])


def level(found: Recipe, tasks: Pool) -> Level:
    finding = check_scorers(found, tasks)
    assert ("reference" in finding.remedy) is (finding.level is Level.WARNING)
    return finding.level


def test_sentences_do_not_suit_a_matching_verifier() -> None:
    for name in ("science", "logic", "math"):
        assert level(recipe("botany", name), pool("botany", SENTENCE, "xylem")) is Level.WARNING
        assert level(recipe("botany", name), pool("botany", "xylem", "phloem")) is Level.OK
    assert level(recipe("science"), pool("science", *["xylem"] * 19, SENTENCE)) is Level.OK  # one in twenty
    assert level(recipe("science"), pool("science", SENTENCE, choices=(SENTENCE, "no"))) is Level.OK


def test_a_creative_heuristic_does_not_read_gold_answers() -> None:
    assert level(recipe("botany", "creative_ideation"), pool("botany", SENTENCE)) is Level.WARNING
    assert level(recipe("creative_writing"), pool("creative_writing", "Once " * 200)) is Level.OK  # an example
    assert level(recipe("news", "summarization"), pool("news", SENTENCE)) is Level.OK
    assert level(recipe("botany", "reference"), pool("botany", SENTENCE)) is Level.OK


def test_sources_of_the_package_are_known_to_suit() -> None:
    tasks = [Task(id="t", domain="creative_ideation", source="dolly", question="Q?", answer=SENTENCE)]
    assert level(recipe("botany", "reference"), Pool.of(tasks, ["creative_ideation"])) is Level.OK
