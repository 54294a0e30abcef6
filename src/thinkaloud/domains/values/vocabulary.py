"""Word lists: how the modules of this package write theirs."""

from __future__ import annotations


def word_set(text: str) -> frozenset[str]:
    """The words of `text`.

    >>> sorted(word_set("or and"))
    ['and', 'or']
    """
    return frozenset(text.split())
