from __future__ import annotations

from collections.abc import Callable

import pytest

from thinkaloud.evaluate.mismatches import MATCHED, MISMATCHES, description, first_difference, variants
from thinkaloud.prompt.contract import PROBE_QUESTIONS, PromptContract
from thinkaloud.prompt.tokenizer import byte_tokenizer

QUESTION = PROBE_QUESTIONS[0]


@pytest.fixture(scope="module")
def prompts() -> dict[str, PromptContract]:
    return variants(PromptContract.build(byte_tokenizer(), template="gemma"))


def test_every_mismatch_has_a_name_a_description_and_another_prompt(prompts: dict[str, PromptContract]) -> None:
    assert list(prompts) == [MATCHED, *(mismatch.name for mismatch in MISMATCHES)]
    assert len({contract.render(QUESTION) for contract in prompts.values()}) == len(prompts)
    assert len({description(name) for name in prompts}) == len(prompts)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("no_line_feed", lambda text: text.removesuffix("\n")),
        ("doubled_space", lambda text: text.replace("Provide your", "Provide  your")),
        ("no_blank_lines", lambda text: text.replace("\n\n", "\n")),
        ("no_task_word", lambda text: text.replace("Task: ", "")),
        ("tabs", lambda text: text.replace("Task: ", "Task:\t")),
        ("trailing_space", lambda text: text.replace("25?", "25? ")),
        ("space_before_reply", lambda text: text + " "),
    ],
)
def test_the_prompts_differ_by_just_that(
    prompts: dict[str, PromptContract], name: str, change: Callable[[str], str]
) -> None:
    assert prompts[name].render(QUESTION) == change(prompts[MATCHED].render(QUESTION))


def test_larger_mismatches(prompts: dict[str, PromptContract]) -> None:
    shown = {name: contract.render(QUESTION) for name, contract in prompts.items()}
    assert shown["crlf"].count("\r\n") == 6
    assert "\n    Format:\n    <reasoning>" in shown["indented"]
    assert "<start_of_turn>user\nFormat:" in shown["no_system_text"]
    assert "<think>your step-by-step thinking</think>" in shown["other_tags"]
    assert "<reasoning>" not in shown["other_tags"]
    assert shown["no_frame"].startswith("Provide your")
    assert "<start_of_turn>" not in shown["other_frame"]
    assert "<|im_start|>user" in shown["other_frame"]


def test_all_of_them_can_end_their_turn_and_parse_as_before(prompts: dict[str, PromptContract]) -> None:
    for contract in prompts.values():
        assert contract.stop_ids == prompts[MATCHED].stop_ids
        assert contract.parse("<reasoning>a</reasoning><answer>b</answer>").valid
        assert len(contract.encode(QUESTION)) > 50


def test_the_first_difference_names_position_ids_and_pieces(prompts: dict[str, PromptContract]) -> None:
    matched, other = prompts[MATCHED], prompts["doubled_space"]
    found = first_difference(matched, other)
    assert found is not None
    expected_ids, found_ids = matched.encode(QUESTION), other.encode(QUESTION)
    at = found["position"]
    assert expected_ids[:at] == found_ids[:at]
    assert (found["expected"][0]["id"], found["found"][0]["id"]) == (expected_ids[at], found_ids[at])
    assert (found["expected"][0]["piece"], found["found"][0]["piece"]) == ("y", "·")
    assert found["num_found"] == found["num_expected"] + 1
    assert any("··" in line for line in found["text"])
    cut = first_difference(matched, prompts["no_line_feed"])
    assert cut is not None
    assert (cut["position"], cut["found"]) == (cut["num_expected"] - 1, []), "the shorter prompt ends there"
    assert first_difference(matched, matched) is None
