"""Finds tasks of an evaluation set: they share 13 words in a row (GPT-3, arXiv 2005.14165, appendix C).

An evaluation text of fewer than 13 words must appear as a whole within a task's text; one of fewer than `MIN_EMBEDDED`
words ("Is ice cold?") must equal it.

Differs from the paper: a run of 13 words that appears in many evaluation texts is boilerplate ("Answer the following
question with yes or no ...") and is ignored; an evaluation text of boilerplate alone matches only an equal text. (The
paper drops runs that are frequent in the training data.)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import UInt64

from thinkaloud.data.words import words_of

GRAM = 13
"""Two texts do not share this many words in a row by chance."""

MIN_EMBEDDED = 5
"""Shorter evaluation texts would be found within unrelated texts."""

BOILERPLATE_TEXTS, BOILERPLATE_SHARE = 5, 0.005
"""A run in more evaluation texts than both this number and this share of them is boilerplate."""

_FACTOR = np.uint64(0x9E3779B97F4A7C15)

Hashes = UInt64[np.ndarray, "_"]


class Contamination:
    """The texts of evaluation sets, indexed for search.

    It keeps 64-bit hashes, not the texts: 8 bytes per word and 8 per run of words.

    Args:
        texts: Questions of the evaluation sets, and long answers; texts without words are ignored.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        distinct = {words.tobytes(): words for text in texts if len(words := _hashes(words_of(text)))}
        self.num_texts = len(distinct)
        whole = [words for words in distinct.values() if len(words) < GRAM]
        long = [words for words in distinct.values() if len(words) >= GRAM]
        runs = [np.unique(_runs(words, GRAM)) for words in long]
        found, counts = np.unique(np.concatenate(runs or [np.empty(0, np.uint64)]), return_counts=True)
        self._runs = found[counts <= max(BOILERPLATE_TEXTS, BOILERPLATE_SHARE * self.num_texts)]
        bare = [words for words, own in zip(long, runs, strict=True) if not _among(own, self._runs).any()]
        self._equal = {words.tobytes() for words in [*whole, *bare] if len(words) < MIN_EMBEDDED or len(words) >= GRAM}
        self._whole: defaultdict[int, list[Hashes]] = defaultdict(list)
        for words in whole:
            if len(words) >= MIN_EMBEDDED:
                self._whole[int(_runs(words, MIN_EMBEDDED)[0])].append(words)
        self._starts = np.array(sorted(self._whole), np.uint64)

    def overlap(self, text: str) -> str | None:
        """The words a text shares with an evaluation text: the first 13 in a row, or all of a short one; or None."""
        words = words_of(text)
        hashes = _hashes(words)
        if hashes.tobytes() in self._equal:
            return " ".join(words)
        places = np.flatnonzero(_among(_runs(hashes, GRAM), self._runs))
        if len(places):
            return " ".join(words[places[0] : places[0] + GRAM])
        starts = _runs(hashes, MIN_EMBEDDED)
        for place in np.flatnonzero(_among(starts, self._starts)).tolist():
            for other in self._whole[int(starts[place])]:
                if np.array_equal(hashes[place : place + len(other)], other):
                    return " ".join(words[place : place + len(other)])
        return None


def _hashes(words: Sequence[str]) -> Hashes:
    return np.fromiter(map(hash, words), np.int64, len(words)).view(np.uint64)


def _runs(hashes: Hashes, length: int) -> Hashes:
    """A hash of each run of `length` words: a polynomial in an odd factor, modulo 2^64."""
    total = np.zeros(max(0, len(hashes) - length + 1), np.uint64)
    for offset in range(length):
        total = total * _FACTOR + hashes[offset : offset + len(total)]
    return total


def _among(values: Hashes, known: Hashes) -> np.ndarray:
    """Which values are in `known`, a sorted array."""
    if not len(known):
        return np.zeros(len(values), bool)
    return known[np.minimum(np.searchsorted(known, values), len(known) - 1)] == values
