"""Every rule of the format, by name; every string gets an answer, in linear time."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkaloud.prompt.parse import Parsed, Reason, Tags, parse_completion

R, A = "<reasoning>think</reasoning>", "<answer>42</answer>"
PIECES = ("<reasoning>", "</reasoning>", "<answer>", "</answer>", "text", " ", "\n", "<", "<Reasoning>", "\u200b")


@pytest.mark.parametrize(
    "text",
    [
        R + A,
        f"{R}\n{A}",
        f"\n  {R}\n\n\t{A}  \n",
        "<reasoning>\nthink\n</reasoning><answer>\n42\n</answer>",
    ],
)
def test_white_space_around_the_tags_is_free(text: str) -> None:
    assert parse_completion(text) == Parsed(reasoning="think", answer="42")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "missing_reasoning"),
        ("just text", "missing_reasoning"),
        (A, "missing_reasoning"),
        ("<reasoning>think" + A, "missing_reasoning"),
        ("think</reasoning>" + A, "missing_reasoning"),
        ("<Reasoning>think</Reasoning>" + A, "missing_reasoning"),
        ("<reasoning >think</reasoning>" + A, "missing_reasoning"),
        (R, "missing_answer"),
        (R + "<answer>42", "missing_answer"),
        (R + "42", "missing_answer"),
        (A + R, "wrong_order"),
        ("</reasoning>" + A + "<reasoning>", "wrong_order"),
        ("</reasoning>think<reasoning>" + A, "nested_tag"),
        (R + "</answer>42<answer>", "wrong_order"),
        (R + R + A, "duplicate_tag"),
        (R + A + A, "duplicate_tag"),
        (R + A + "</answer>", "duplicate_tag"),
        ("<reasoning>a" + R + "</reasoning>" + A, "nested_tag"),
        (f"<reasoning>think{A}</reasoning>", "nested_tag"),
        (R + "<answer>use <reasoning>x</reasoning> tags</answer>", "nested_tag"),
        ("<reasoning>think<answer></reasoning>42</answer>", "nested_tag"),
        ("<reasoning> \n</reasoning>" + A, "empty_reasoning"),
        ("<reasoning>\u200b\u2060</reasoning>" + A, "empty_reasoning"),
        (R + "<answer></answer>", "empty_answer"),
        (R + "<answer>\u00a0\x00</answer>", "empty_answer"),
        ("So: " + R + A, "text_outside"),
        (R + " and " + A, "text_outside"),
        (R + A + ".", "text_outside"),
        (R + A + "\u200b", "text_outside"),
    ],
)
def test_each_broken_rule_has_its_name(text: str, reason: str) -> None:
    assert parse_completion(text) == Parsed(reason=Reason(reason))
    assert not parse_completion(text).valid


def test_outside_text_can_be_allowed() -> None:
    text = f"Well. {R} so {A} Done."
    assert parse_completion(text, outside_text="allow") == Parsed(reasoning="think", answer="42")
    assert parse_completion("Well. " + R, outside_text="allow").reason == "missing_answer"


def test_a_truncated_completion_is_invalid_whatever_it_holds() -> None:
    assert parse_completion(R + A, truncated=True) == Parsed(reason=Reason.TRUNCATED)


def test_other_tag_names() -> None:
    tags = Tags(reasoning="think", answer="final.")
    assert parse_completion("<think>a</think><final.>b</final.>", tags=tags) == Parsed("a", "b")
    assert parse_completion("<think>a</think><finalX>b</finalX>", tags=tags).reason == "missing_answer"


@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
def test_allow_and_reject_differ_by_text_outside_only(text: str) -> None:
    strict, lax = parse_completion(text), parse_completion(text, outside_text="allow")
    if strict.reason == "text_outside":
        assert lax.valid
    else:
        assert strict == lax


@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
def test_valid_texts_are_those_that_hold_their_own_parts(text: str) -> None:
    parsed = parse_completion(text)
    assert (parsed.reasoning is None) == (parsed.answer is None) == (parsed.reason is not None)
    if parsed.valid:
        assert text.count("<reasoning>") == text.count("</reasoning>") == 1
        assert text.count("<answer>") == text.count("</answer>") == 1
        assert "".join(text.split()) == "".join(
            f"<reasoning>{parsed.reasoning}</reasoning><answer>{parsed.answer}</answer>".split()
        )


@pytest.mark.parametrize(
    "piece", ["<reasoning>", "</answer>", "<reasoning></reasoning>", "<", "<reasoning", " ", "\u200b"]
)
def test_a_megabyte_of_anything_is_quick(piece: str) -> None:
    text = R[:11] + piece * (1_000_000 // len(piece)) + "</reasoning>" + A
    start = time.thread_time()
    parse_completion(text)
    assert time.thread_time() - start < 20.0, "a tenth of a second where time is linear, minutes where it is not"
