"""Words for comparing: what is a difference, and what is none."""

from __future__ import annotations

import pytest

from thinkaloud.data.words import normalized, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Which  gas,\nplease?", ["which", "gas", "please"]),
        ("STRASSE straße", ["strasse", "strasse"]),
        ("don’t DON'T", ["don't", "don't"]),
        ("1,000 is 1000", ["1000", "is", "1000"]),
        ("3.5 km at 10:30.", ["3.5", "km", "at", "10:30"]),
        ("3 - 2, 3 + 2", ["3", "-", "2", "3", "+", "2"]),
        ("well-known - indeed", ["well", "known", "indeed"]),
        ("ﬁve", ["five"]),
        ("水は何ですか", ["水は何ですか"]),
        ("?!", []),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert words_of(text) == words


def test_texts_without_words_are_not_all_the_same() -> None:
    assert normalized(" ?! ") == "?!"
    assert normalized("...") != normalized("?!")
    assert normalized("So, what?") == normalized("so what")
