"""Growing text, cut anywhere: the pieces add up to the parts of the whole text."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkaloud.inference.deltas import cut_at_stop, split_parts
from thinkaloud.prompt.parse import Tags, parse_completion

WHOLE = "<reasoning> 2 and 2\nare  four \n</reasoning>\n <answer>4 < 5 </answer>\n"


def feed(text: str, cuts: list[int], rule: Any = "reject") -> dict[str, str]:
    """What a client has received, the text growing from cut to cut."""
    sent = ("", "")
    for end in [*sorted({min(cut, len(text)) for cut in cuts}), len(text)]:
        now = split_parts(text[:end], Tags(), rule, final=end == len(text))
        assert all(new.startswith(old) for new, old in zip(now, sent, strict=True)), "what was sent is taken back"
        sent = now
    return {"reasoning_content": sent[0], "content": sent[1]}


@given(
    st.lists(st.sampled_from(["<reasoning>", "</reasoning>", "<answer>", "</answer>", " ", "\n", "a", "<b", "4 "])),
    st.lists(st.integers(0, 80)),
    st.sampled_from(["reject", "allow"]),
)
def test_any_text_in_pieces_is_split_as_the_whole_text_is(pieces: list[str], cuts: list[int], rule: Any) -> None:
    text = "".join(pieces)
    sent = feed(text, cuts, rule)
    assert sent == feed(text, [], rule)
    parsed = parse_completion(text, outside_text=rule)
    if parsed.valid:
        assert sent == {"reasoning_content": parsed.reasoning, "content": parsed.answer}


def test_text_outside_the_tags_is_dropped_where_the_contract_allows_it() -> None:
    text = f"Well. {WHOLE} Done."
    assert feed(text, list(range(60)), "allow") == feed(WHOLE, [])
    assert feed(text, list(range(60)), "reject")["content"] == text
    assert feed("Well, 4.", list(range(60)), "allow")["content"] == "Well, 4."


@given(st.lists(st.integers(0, len(WHOLE))))
def test_a_valid_text_is_split_as_it_is_parsed(cuts: list[int]) -> None:
    parsed = parse_completion(WHOLE)
    assert feed(WHOLE, cuts) == {"reasoning_content": parsed.reasoning, "content": parsed.answer}


def test_every_character_alone() -> None:
    parsed = parse_completion(WHOLE)
    sent = feed(WHOLE, list(range(len(WHOLE))))
    assert sent == {"reasoning_content": parsed.reasoning, "content": parsed.answer}


@pytest.mark.parametrize(
    ("text", "reasoning", "content"),
    [
        ("no tags at all", "", "no tags at all"),
        ("<reasoning>cut off", "cut off", ""),
        ("<reasoning>a</reasoning> so <answer>b</answer>", "a", " so <answer>b</answer>"),
        ("<reasoning>a</reasoning><answer>b</answer> more", "a", "b more"),
        ("<reason", "", "<reason"),
        ("<answer>b</answer>", "", "<answer>b</answer>"),
    ],
)
@pytest.mark.parametrize("cuts", [[], [3], list(range(60))])
def test_broken_formats_lose_nothing(text: str, reasoning: str, content: str, cuts: list[int]) -> None:
    assert feed(text, cuts) == {"reasoning_content": reasoning, "content": content}


@given(st.text("abcx", max_size=12), st.lists(st.text("abc", min_size=1, max_size=3), max_size=3))
def test_stop_strings_never_show(text: str, stops: list[str]) -> None:
    sent, end = "", 0
    for end in range(len(text) + 1):
        now, found = cut_at_stop(text[:end], stops, final=end == len(text))
        assert now.startswith(sent), "what was sent is taken back"
        sent = now
        if found:
            break
    assert sent == text[: min([text.find(stop) for stop in stops if stop in text[:end]], default=len(text))]
    assert not any(stop in sent for stop in stops)


def test_part_of_a_character_waits() -> None:
    assert cut_at_stop("caf\ufffd", (), final=False) == ("caf", False)
    assert cut_at_stop("caf\ufffd", (), final=True) == ("caf\ufffd", False)
