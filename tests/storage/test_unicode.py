"""Text that is shown can be encoded, and hides nothing."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkaloud.storage.unicode import printable


def test_text_that_hides_is_written_out() -> None:
    assert printable("a\x00b\u202ec\u200bd\ud800e\r\n\tf", 99) == "a⟨U+0000⟩b⟨U+202E⟩c⟨U+200B⟩d⟨U+D800⟩e⟨U+000D⟩\n\tf"
    assert printable("Zoë 日本 🙂", 99) == "Zoë 日本 🙂"


def test_a_megabyte_is_cut_first_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[str] = []
    category = unicodedata.category
    monkeypatch.setattr(unicodedata, "category", lambda ch: looked_at.append(ch) or category(ch))
    shown = printable("<reasoning>" * 200_000, 100)
    assert len(looked_at) == 100, "what is not shown is not looked at"
    assert shown == ("<reasoning>" * 10)[:100] + "\n[truncated for display: 2,200,000 characters in all]"
    assert printable("x" * 100, 100) == "x" * 100


@given(st.text(st.characters(), max_size=60))
def test_what_is_shown_can_always_be_encoded(text: str) -> None:
    shown = printable(text, 50)
    shown.encode()
    assert not any(ch in shown for ch in "\x00\x1b\u202e\u2066\ufeff\r")
