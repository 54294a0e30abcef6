"""Word lists: how the modules of this package write theirs."""

from __future__ import annotations


def word_set(text: str) -> frozenset[str]:
    """The words of `text`.

    >>> sorted(word_set("or and"))
    ['and', 'or']
    """
    return frozenset(text.split())


def phrase_set(text: str) -> frozenset[tuple[str, ...]]:
    """The phrases of `text`, which are separated by bars.

    >>> sorted(phrase_set("up to|or so"))
    [('or', 'so'), ('up', 'to')]
    """
    return frozenset(tuple(phrase.split()) for phrase in text.split("|"))
