"""Cleaning, on hand-written examples: what changes, what stays, and that nothing is cut."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinkaloud.data.clean import (
    clean_code,
    clean_line,
    clean_text,
    join_tokens,
    rationale_of,
    split_prompt_tags,
    without_calculations,
    without_citations,
)


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("  two   words\t here ", "two words here"),
        ("a\r\nb\rc\u2028d", "a\nb\nc\nd"),
        ("one\n \n\t\n\n\ntwo", "one\n\ntwo"),
        ("no\u00a0break,\u2003em", "no break, em"),
        ("e\u0301t\u200be\u0301", "\u00e9t\u00e9"),
        ("bell\x07 null\x00 bom\ufeff half\ud83d soft\xadhyphen", "bell null bom half softhyphen"),
        ("left \u202eright", "left right"),
        (
            "family \U0001f468\u200d\U0001f469\u200d\U0001f466 stays",
            "family \U0001f468\u200d\U0001f469\u200d\U0001f466 stays",
        ),
        ("x < y & z > 1; 5 % of $3", "x < y & z > 1; 5 % of $3"),
        ("", ""),
    ],
)
def test_prose(raw: str, cleaned: str) -> None:
    assert clean_text(raw) == cleaned


PIECES = [
    "a",
    "Z",
    "7",
    " ",
    "  ",
    "\n",
    "\r\n",
    "\t",
    "\u00a0",
    "\u200b",
    "\u0301",
    "\u2028",
    "\x00",
    "\ud800",
    "K",
    ".",
]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_cleaning_twice_changes_nothing_and_words_stay(text: str) -> None:
    for clean in (clean_text, clean_line, clean_code):
        assert clean(clean(text)) == clean(text)
    unaccented = text.replace("\u0301", "")
    assert re.sub(r"\W", "", clean_text(unaccented)) == re.sub(r"\W", "", unaccented)


def test_a_long_text_is_never_cut() -> None:
    text = " ".join(f"word{number}" for number in range(100_000))
    assert clean_text(text) == text
    assert clean_code(text) == text


def test_code_keeps_its_indentation() -> None:
    assert clean_code("\r\ndef f(x): \r\n\tif  x:\x00\r\n\t    return 'a  b'\r\n\r\n") == (
        "def f(x):\n\tif  x:\n\t    return 'a  b'"
    )


def test_a_line_is_one_line() -> None:
    assert clean_line(" a\n\n b ") == "a b"


@pytest.mark.parametrize(
    ("spaced", "together"),
    [
        ("I did n't , and I ca n't .", "I didn't, and I can't."),
        ("`` Stay , '' she said . `` Why ? ''", '"Stay," she said. "Why?"'),
        ("You 've seen it ; they 'll go : it 's his", "You've seen it; they'll go: it's his"),
        ("doesn ’ t and grandmother ’ s", "doesn’t and grandmother’s"),
        ("“ Well , yes . ”", "“Well, yes.”"),
        ("a phone ( and a radio ) cost $ 20.00 , 5 % off", "a phone (and a radio) cost $20.00, 5% off"),
        ("wait ... what ... .", "wait... what...."),
        ("gon na , wan na , got ta", "gonna, wanna, gotta"),
        ("one <newline> two", "one\ntwo"),
        ("a dash - stays -- so does this", "a dash - stays -- so does this"),
        ("it costs .5 more", "it costs .5 more"),
        ("the '90s and 'quoted words' stay", "the '90s and 'quoted words' stay"),
        ("plain text stays.", "plain text stays."),
    ],
)
def test_what_a_tokeniser_pulled_apart(spaced: str, together: str) -> None:
    assert join_tokens(spaced) == together


@pytest.mark.parametrize(
    ("prompt", "tags", "rest"),
    [
        ("[ WP ] A door hums .", {"WP"}, "A door hums ."),
        ("[WP] A door hums.", {"WP"}, "A door hums."),
        ("[ wp ] [ rf ] : A door", {"WP", "RF"}, "A door"),
        ("[ WP/IP ] A door", {"WP", "IP"}, "A door"),
        ("A door hums [ WP ]", {"WP"}, "A door hums"),
        ("( CW ) - Write without the letter e", {"CW"}, "Write without the letter e"),
        ("[ Knock ] was all it said", set(), "[ Knock ] was all it said"),
        ("WP stands for what ?", set(), "WP stands for what ?"),
        ("[ WP ]", {"WP"}, ""),
    ],
)
def test_prompt_tags(prompt: str, tags: set[str], rest: str) -> None:
    assert split_prompt_tags(prompt) == (frozenset(tags), rest)


def test_calculator_marks_and_reference_numbers() -> None:
    assert without_calculations("6/2 = <<6/2=3>>3 apples, 2 << 3 stays") == "6/2 = 3 apples, 2 << 3 stays"
    assert without_citations("Built in 1900.[12] It is tall [3][4], x[i] stays") == (
        "Built in 1900. It is tall, x[i] stays"
    )


@pytest.mark.parametrize("tag", ["<reasoning>", "</answer>", "< ANSWER >", "<answer/>"])
def test_a_rationale_with_a_tag_of_the_format_is_none(tag: str) -> None:
    assert rationale_of(f"so {tag} it is") == ""
    assert rationale_of(" so  it is ") == "so it is"
