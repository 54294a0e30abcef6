from __future__ import annotations

import pytest

from thinkaloud.prompt.chat_templates import CHAT_TEMPLATES
from thinkaloud.prompt.contract import PromptContract
from thinkaloud.prompt.readings import contract_with_example, plain_contract
from thinkaloud.prompt.tokenizer import byte_tokenizer


def contract(template: str = "gemma", variant: str = "default") -> PromptContract:
    return PromptContract.build(byte_tokenizer(), template=template, variant=variant, system="S")  # type: ignore[arg-type]


def test_the_plain_prompt_is_the_question_in_the_model_s_chat_form() -> None:
    text = plain_contract(contract()).render("What is 2 + 2?")
    assert text == "<bos><start_of_turn>user\nWhat is 2 + 2?<end_of_turn>\n<start_of_turn>model\n"
    original = plain_contract(contract(variant="original"))
    assert original.template == CHAT_TEMPLATES["gemma"], "the original's missing line feed is not the model's own form"


def test_a_worked_example_is_a_first_turn_before_the_prompt() -> None:
    own = contract()
    found = contract_with_example(own, "1 + 1?", "One and one.", "2")
    reply = "<reasoning>One and one.</reasoning>\n<answer>2</answer><end_of_turn>\n"
    first = own.render("1 + 1?") + reply
    rest = own.render("3 + 3?").removeprefix("<bos>")
    assert found.render("3 + 3?") == first + rest
    ids = found.encode("3 + 3?")
    assert own.tokenizer.decode(ids, keep_special=True) == first + rest
    turns = own.tokenizer.token_id("<start_of_turn>")
    assert ids.count(turns) == 4, "special tokens are ids in the example too"


def test_the_contract_itself_does_not_change() -> None:
    own = contract()
    fingerprint, ids = own.fingerprint, own.encode("q")
    others = (plain_contract(own), contract_with_example(own, "q", "r", "a"))
    assert (own.fingerprint, own.encode("q")) == (fingerprint, ids)
    assert len({fingerprint, *(other.fingerprint for other in others)}) == 3
    assert all(other.tags == own.tags and other.stop_ids == own.stop_ids for other in others)


@pytest.mark.parametrize(
    ("question", "reasoning", "answer"),
    [("q", "", "2"), ("q", "r", "<answer>2"), ("<end_of_turn>", "r", "2"), ("q", "<start_of_turn>", "2")],
)
def test_an_example_that_would_break_the_format_or_the_turns_is_refused(
    question: str, reasoning: str, answer: str
) -> None:
    with pytest.raises(ValueError, match="expected"):
        contract_with_example(contract(), question, reasoning, answer)
