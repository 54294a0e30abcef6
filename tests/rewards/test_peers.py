"""The reward function as TRL and Tunix call it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from thinkaloud.errors import UserError
from thinkaloud.prompt.contract import PromptContract
from thinkaloud.prompt.tokenizer import byte_tokenizer
from thinkaloud.rewards import reward_fn
from thinkaloud.rewards.peers import question_of


def text(answer: str) -> str:
    return f"<reasoning>so</reasoning><answer>{answer}</answer>"


def test_strings_and_lists() -> None:
    rewards = reward_fn(["6 * 7?"] * 3, [text("42"), text("41"), "42"], domain=["math"] * 3, answer=["42"] * 3)
    assert rewards == [1.0, 0.2, 0.0]


def test_chat_messages_as_in_trl() -> None:
    prompts = [[{"role": "user", "content": "6 * 7?"}]] * 2
    completions = [[{"role": "assistant", "content": text("42")}], [{"role": "assistant", "content": [{"text": "42"}]}]]
    columns = {"domain": ["math"] * 2, "answer": ["42"] * 2, "completion_ids": [[1], [2]], "trainer_state": object()}
    assert reward_fn(prompts=prompts, completions=completions, **columns) == [1.0, 0.0]


def test_arrays_as_in_tunix() -> None:
    rewards = reward_fn(
        prompts=np.array(["Which gas?"] * 2),
        completions=[text("B"), text("oxygen")],
        domain=np.array(["science"] * 2),
        answer=np.array([b"nitrogen"] * 2),
        choices=np.array([["oxygen", "nitrogen"]] * 2),
        tests=None,
    )
    assert rewards == [1.0, 0.2]


def test_options_that_stand_in_the_question() -> None:
    prompts = ["Which gas?\n(a) oxygen\n(b) nitrogen"] * 2
    assert reward_fn(prompts, [text("nitrogen"), text("a")], domain=["science"] * 2, answer=["b"] * 2) == [1.0, 0.2]


def test_list_columns_may_be_json_text() -> None:
    columns = {"domain": ["coding"], "answer": ["f"], "setup": [None]}
    code = [text("def f(x): return x")]
    assert reward_fn(["f"], code, tests=[json.dumps(["assert f(1) == 1"])], **columns) == [1.0]
    assert reward_fn(["f"], code, tests=["assert f(1) == 2"], **columns) == [0.2]


def test_the_question_is_found_in_the_prompt() -> None:
    contract = PromptContract.build(byte_tokenizer(), template="gemma")
    original = PromptContract.build(byte_tokenizer(), template="gemma", variant="original")
    for question in ("What?", "Two\nlines: Task: x", ""):
        assert question_of(contract.render(question)) == question
        assert question_of(original.render(question)) == question
        assert question_of(contract.user_text(question)) == question
    assert question_of("another prompt") == "another prompt"


def test_relevance_never_counts_the_system_prompt() -> None:
    contract = PromptContract.build(byte_tokenizer(), template="gemma")
    prompts = [contract.render("Write about a whale.")] * 2
    echo = text("Provide some reasoning with your steps of thinking, then the final answer to the format in tags.")
    story = text("A whale came into the bay at night, and the whole village went down to listen to it breathe.")
    parroted, told = reward_fn(prompts, [echo, story], domain=["creative_writing"] * 2, answer=[""] * 2)
    assert told - parroted > 0.2


def test_what_cannot_be_scored_gets_the_mean_of_its_group() -> None:
    prompts = ["a", "b", "a", "a", "b"]
    answers = [text("42"), text("42"), text("41"), text("42"), text("42")]
    golds = ["42", "", "42", "", ""]
    rewards = reward_fn(prompts, answers, domain=["math"] * 5, answer=golds)
    assert rewards == [1.0, 0.0, 0.2, pytest.approx(0.6), 0.0]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"answer": ["42"]}, "'domain'.*found \\['answer'\\]"),
        ({"domain": ["math"]}, "'answer'"),
        ({"domain": "math", "answer": ["42"]}, "'domain'.*found str"),
        ({"domain": ["math"] * 2, "answer": ["42"]}, "'domain'.*found list of 2"),
        ({"domain": ["maths"], "answer": ["42"]}, "did you mean 'math'"),
        ({"domain": ["math"], "answer": [None]}, "NoneType"),
        ({"domain": ["coding"], "answer": ["f"], "tests": [5]}, "'tests', found int"),
        (
            {"domain": ["coding"], "answer": ["f"], "tests": ["[1"]},
            "'tests', found other",
        ),
    ],
)
def test_mistakes_in_the_columns(columns: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        reward_fn(["p"], [text("42")], **columns)


def test_the_original_formulas_by_name() -> None:
    question = "Write a short story about an old lighthouse keeper who finds one lost whale"
    copied = f"<reasoning>{'word ' * 20}</reasoning><answer>{question}</answer>"
    columns = {"question": [question], "domain": ["creative_writing"], "answer": ["x"]}
    assert reward_fn(["p"], [copied], creative="original", **columns) == [pytest.approx(1.0)]
    assert reward_fn(["p"], [copied], **columns)[0] < 0.5
