from __future__ import annotations

from dataclasses import replace

from thinkaloud.config.load import parse_recipe
from thinkaloud.data import Pool
from thinkaloud.evaluate.readings import reading_policy, tasks_with_rationale
from thinkaloud.evaluate.rows import READING_STAGES
from thinkaloud.fetch.models import resolve_model
from thinkaloud.model.load import load_model
from thinkaloud.prompt.contract import PromptContract
from thinkaloud.prompt.readings import contract_with_example, plain_contract
from thinkaloud.prompt.tokenizer import byte_tokenizer
from thinkaloud.records import Task
from thinkaloud.rollout.policy import Policy
from thinkaloud.rollout.sampling import GREEDY

CONTRACT = PromptContract.build(byte_tokenizer(), template="gemma", system="S")


def task_of(domain: str, name: str, rationale: str = "") -> Task:
    return Task(id=name, domain=domain, source="s", question=f"{name}?", answer="4", rationale=rationale)


def policy() -> Policy:
    return Policy(load_model(resolve_model("tiny"), "float32"), CONTRACT, 1.0)


def test_every_reading_asks_in_its_own_way() -> None:
    usual = policy()
    asked = task_of("logic", "asked")
    examples = {
        "math": [task_of("math", "broken", "<answer>"), task_of("math", "sum", "Because.")],
        "logic": [task_of("logic", "bare"), task_of("logic", "syllogism", "So.")],
    }
    plain, example = (reading_policy(usual, reading, examples) for reading in READING_STAGES)
    assert plain is not None
    assert example is not None
    assert usual.encode(asked) == CONTRACT.encode("asked?")
    assert plain.encode(asked) == plain_contract(CONTRACT).encode("asked?")
    assert example.encode(asked) == contract_with_example(CONTRACT, "syllogism?", "So.", "4").encode("asked?")
    elsewhere = example.encode(replace(asked, domain="coding"))
    assert elsewhere == contract_with_example(CONTRACT, "sum?", "Because.", "4").encode("asked?"), "of another domain"
    (group,) = plain.sample({}, [asked], group_size=1, max_new_tokens=2, sampling=GREEDY, seed=0)
    assert list(group.prompt_ids) == plain.encode(asked), "the model is asked with that prompt"


def test_without_a_rationale_there_is_no_example() -> None:
    assert reading_policy(policy(), "example", {"math": [task_of("math", "bare")]}) is None
    assert reading_policy(policy(), "example", {}) is None


def test_a_pool_without_rationales_is_shown_a_starter_task() -> None:
    source = {"path": "shop.csv", "domain": "shop", "scored_as": "logic"}
    recipe = parse_recipe({"name": "shop", "model": {"source": "tiny"}, "data": {"sources": {"shop": source}}})
    bare, reasoned = (replace(task_of("shop", name, text), split="train") for name, text in (("a", ""), ("b", "So.")))
    ((_, found),) = tasks_with_rationale(recipe, Pool.of([bare], ["shop"])).items()
    assert {(task.domain, task.source, task.split) for task in found} == {("logic", "starter", "train")}
    ((name, found),) = tasks_with_rationale(recipe, Pool.of([bare, reasoned], ["shop"])).items()
    assert (name, list(found)) == ("shop", [reasoned])
