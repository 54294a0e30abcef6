"""The pool of a recipe: what is kept, what is dropped for which reason, and what is refused."""

from __future__ import annotations

import pytest

from thinkaloud.config import DataConfig
from thinkaloud.data import Pool, build_pool
from thinkaloud.data.pool import check_domains
from thinkaloud.data.starter import load_starter
from thinkaloud.errors import UserError
from thinkaloud.records import DOMAINS, SPLITS


def words(question: str) -> int:
    return len(question.split())


def pool_of(config: DataConfig, *, seed: int = 0, limit: int = 10_000) -> Pool:
    return build_pool(config, seed, num_tokens=words, max_prompt_tokens=limit)


def test_the_starter_pool_whole() -> None:
    pool = pool_of(DataConfig())
    assert pool.dropped == {}
    assert list(pool.counts()) == list(DOMAINS)
    assert all(sum(by_split.values()) >= 40 for by_split in pool.counts().values())
    assert all(by_split["test"] >= 10 for by_split in pool.counts().values())
    assert len({task.id for task in pool.tasks}) == len(pool.tasks)


def test_splits_part_the_pool() -> None:
    pool = pool_of(DataConfig())
    parts = [{task.id for task in pool.split(name)} for name in SPLITS]
    assert sum(map(len, parts)) == len(pool.tasks)
    assert not parts[0] & parts[2]
    assert len(pool.split("nonsense")) == 0


def test_domains_in_the_recipe_s_order() -> None:
    pool = pool_of(DataConfig(domains=("logic", "math"), generated={"math": 5}))
    assert list(dict.fromkeys(task.domain for task in pool.tasks)) == ["logic", "math"]
    assert pool.counts()["math"]["train"] == sum(t.split == "train" for t in load_starter("math")) + 5


def test_generated_tasks_train_only_and_depend_on_the_seed_alone() -> None:
    config = DataConfig(domains=("math",), generated={"math": 30})
    first, second, other = pool_of(config), pool_of(config), pool_of(config, seed=1)
    assert first == second
    assert {task.id for task in first.tasks} != {task.id for task in other.tasks}
    assert {task.split for task in first.tasks if task.source == "generated"} == {"train"}


def test_long_prompts_are_dropped_whole_and_counted() -> None:
    whole = pool_of(DataConfig(domains=("summarization",)))
    lengths = sorted(words(task.question) for task in whole.split("train"))
    limit = lengths[len(lengths) // 2]
    cut = pool_of(DataConfig(domains=("summarization",)), limit=limit)
    longer = [task for task in whole.tasks if words(task.question) > limit]
    assert cut.dropped == {f"prompt over {limit} tokens": len(longer)}
    assert set(cut.tasks) == set(whole.tasks) - set(longer)


def test_a_question_stands_once(monkeypatch: pytest.MonkeyPatch) -> None:
    twice = [*load_starter("math"), load_starter("math")[0]]
    monkeypatch.setattr("thinkaloud.data.pool.load_starter", lambda _: twice)
    pool = pool_of(DataConfig(domains=("math",)))
    assert pool.dropped == {"duplicate question": 1}
    assert len(pool.tasks) == len(twice) - 1


def test_a_domain_left_without_training_tasks_is_refused() -> None:
    with pytest.raises(UserError, match=r"no training task of domain 'math' .* raise rollout\.max_prompt_tokens"):
        pool_of(DataConfig(), limit=1)


def test_an_unknown_domain_is_refused_with_its_key() -> None:
    config = DataConfig(domains=("math", "poetry"))
    for refuse in (check_domains, pool_of):
        with pytest.raises(UserError, match=r"^data\.domains: expected a domain, found 'poetry'"):
            refuse(config)


def test_more_than_the_generator_can_tell_apart() -> None:
    with pytest.raises(UserError, match=r"generate math: .* ask for \d+ or fewer"):
        pool_of(DataConfig(domains=("math",), generated={"math": 100_000}))


@pytest.mark.parametrize("domain", DOMAINS)
def test_starter_tasks_have_what_their_domain_needs(domain: str) -> None:
    tasks = load_starter(domain)
    assert {task.domain for task in tasks} == {domain}
    assert all(task.question and task.answer and task.rationale and task.split in SPLITS for task in tasks)
    assert all(task.tests for task in tasks) == (domain == "coding")


def test_no_starter_pool_for_other_domains() -> None:
    with pytest.raises(UserError, match="the starter pool has no domain 'poetry'"):
        load_starter("poetry")
