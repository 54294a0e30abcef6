"""The starter pool as a recipe takes it, and what a recipe's domains must be."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from support.domains import DOMAINS
from thinkaloud.config.load import parse_recipe
from thinkaloud.data import Pool
from thinkaloud.data.build import build_pool
from thinkaloud.data.starter import load_starter
from thinkaloud.domains import registry_of
from thinkaloud.errors import UserError
from thinkaloud.prompt.contract import PromptContract
from thinkaloud.prompt.tokenizer import byte_tokenizer
from thinkaloud.records import SPLITS

CONTRACT = PromptContract.build(byte_tokenizer(), template="gemma")


def pool_of(folder: Path, *, seed: int = 0, **data: Any) -> Pool:
    limits = {"max_prompt_tokens": 4000, "max_new_tokens": 4000}
    recipe = parse_recipe({"name": "r", "model": "tiny", "seed": seed, "data": data, "rollout": limits})
    return build_pool(recipe, CONTRACT, folder)


def test_the_starter_pool_whole(tmp_path: Path) -> None:
    pool = pool_of(tmp_path / "p")
    assert pool.dropped == {}
    assert list(pool.counts()) == list(DOMAINS)
    assert all(sum(by_split.values()) >= 40 for by_split in pool.counts().values())
    assert all(by_split["test"] >= 10 for by_split in pool.counts().values())
    parts = [{task.id for task in pool.split(name)} for name in SPLITS]
    assert len(set.union(*parts)) == sum(map(len, parts)) == len(pool.tasks) == 448
    assert len(pool.split("nonsense")) == 0


def test_domains_in_the_recipe_s_order(tmp_path: Path) -> None:
    pool = pool_of(tmp_path / "p", domains=["logic", "math"], generated={"math": 5})
    assert list(dict.fromkeys(task.domain for task in pool.tasks)) == ["logic", "math"]
    assert pool.counts()["math"]["train"] == sum(t.split == "train" for t in load_starter("math")) + 5


def test_generated_tasks_depend_on_the_seed_alone(tmp_path: Path) -> None:
    first, second, other = (
        pool_of(tmp_path / str(number), domains=["math"], generated={"math": 30}, seed=seed)
        for number, seed in enumerate((0, 0, 1))
    )
    assert list(first.tasks) == list(second.tasks)
    assert {task.id for task in first.tasks} != {task.id for task in other.tasks}
    found = Counter((task.source, task.split) for task in first.tasks if task.source != "starter")
    assert found == {
        ("generated", "train"): 30,
        **{("generated", split): 50 for split in ("validation", "test")},
        ("generated-new-templates", "test"): 50,
    }


def test_an_unknown_domain_is_refused_with_its_key(tmp_path: Path) -> None:
    recipe = parse_recipe({"name": "r", "model": "tiny", "data": {"domains": ["math", "poetry"]}})
    with pytest.raises(UserError, match=r"^data\.domains: expected a domain, found 'poetry'"):
        registry_of(recipe)
    with pytest.raises(UserError, match=r"^data\.domains: expected a domain, found 'poetry'"):
        pool_of(tmp_path / "p", domains=["math", "poetry"])


def test_more_than_the_generator_can_tell_apart(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"math.*at most \d+"):
        pool_of(tmp_path / "p", domains=["math"], generated={"math": 1_000_000})
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize("domain", DOMAINS)
def test_starter_tasks_have_what_their_domain_needs(domain: str) -> None:
    tasks = load_starter(domain)
    assert {task.domain for task in tasks} == {domain}
    assert all(task.question and task.answer and task.rationale and task.split in SPLITS for task in tasks)
    assert all(task.tests for task in tasks) == (domain == "coding")


def test_no_starter_pool_for_other_domains() -> None:
    with pytest.raises(UserError, match="'poetry'"):
        load_starter("poetry")
