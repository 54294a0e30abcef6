"""Invisible characters are shown, and differences are where they are."""

from __future__ import annotations

from thinkaloud.prompt.diff import diff_fields, diff_ids, diff_texts, visible


def test_every_invisible_character_shows() -> None:
    assert visible("a b\n\tc\r") == "a·b⏎\n→c␍"
    assert visible("a b\nc", break_lines=False) == "a·b⏎c"
    assert visible("x\u00a0\u200b\ufeff\x00y") == "x⟨U+00A0⟩⟨U+200B⟩⟨U+FEFF⟩⟨U+0000⟩y"
    assert visible("Zoë 日本 🙂") == "Zoë·日本·🙂"


def test_texts_that_differ_in_white_space_only() -> None:
    assert diff_texts("one\ntwo\nthree", "one\ntwo \nthree") == ["- two⏎", "+ two·⏎"]
    assert diff_texts("model\n", "model") == ["- model⏎", "+ model"]
    assert diff_texts("same", "same") == []


def test_fields() -> None:
    expected = {"name": "a", "system": "x y", "stop": ["a"], "gone": 1}
    found = {"name": "a", "system": "x  y", "stop": ["a", "b"], "new": 2}
    assert diff_fields(expected, found) == (
        "system:\n  - x·y\n  + x··y\nstop:\n  - ['a']\n  + ['a', 'b']\ngone:\n  - 1\n  + None\nnew:\n  - None\n  + 2"
    )


def test_ids_part_where_they_part() -> None:
    assert diff_ids([1, 2, 3], [1, 2, 3]) == ""
    assert diff_ids([1, 2, 3], [1, 9, 3]) == "token 1: expected 1 [2 3], found 1 [9 3] (3 and 3 tokens)"
    assert diff_ids([1, 2], [1, 2, 3]) == "token 2: expected 1 2 [], found 1 2 [3] (2 and 3 tokens)"
