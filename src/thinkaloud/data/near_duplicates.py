"""Near copies among texts: MinHash proposes pairs, and an exact comparison decides.

Candidates come from MinHash over a text's words (A. Broder, "On the resemblance and containment of documents", 1997;
signatures by `datasketch`), split into bands: texts that agree in a whole band are compared. A pair is a copy when
nearly all words are the same, in order, and no difference makes it another task:

- numbers and operators are the same, in the same order: a template with other numbers is another task;
- no word is replaced by its opposite, and no negation is added or removed ("largest" and "smallest" differ);
- no two words are swapped: "is Ann older than Bo" is not "is Bo older than Ann";
- a content word may be replaced only in a longer text (the threshold ensures that), or where both tasks have the same
  answer; where the answers differ, nearly all words must be the same (`SAME_WHATEVER_THE_ANSWER`). A function word may
  change in any text of `MIN_WORDS`: "which gas" and "what gas", but not "melting" and "boiling".

Differs from the usual method (compare MinHash estimates with the threshold): estimates of short texts are too coarse.
The bands are sorted here instead of using `datasketch.MinHashLSH`: on 32,000 real tasks both find the same copies, but
the LSH index took 5 times as long and 13 KB per text instead of 0.3 KB.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from zlib import crc32

import numpy as np
from jaxtyping import UInt64

from thinkaloud.data.words import normalized, words_of
from thinkaloud.domains.opposites import changes_the_task, is_light, is_number

BANDS, ROWS = 40, 6
"""A pair that shares 2/3 of its words becomes a candidate with probability 0.97, one that shares 0.8 almost surely,
one that shares 0.3 with probability 0.03."""

SEED = 1
"""Seed of the permutations; fixed, so that the same texts give the same copies."""

MIN_WORDS = 6
"""Shorter texts are copies only when they are equal."""

SAME_WHATEVER_THE_ANSWER = 0.95
"""Texts that share this much are copies even with different answers: a corrected article, a longer prompt."""

MAX_BUCKET = 500
"""The most texts of a band that later ones are compared with; bounds the time for many texts of one template."""

PROGRESS_EVERY = 1000


def find_near_duplicates(
    keys: Sequence[str],
    threshold: float,
    *,
    answers: Sequence[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[int | None]:
    """For each text the index of an earlier text that it copies, or None. That earlier text is not a copy itself.

    Args:
        keys: The texts of one domain.
        threshold: Share of words, in order, that two copies have in common: words in both over words in either
            (Jaccard). 0 finds no near copies.
        answers: The gold answer of each text, if known; it tells a reworded question from a different one.
        progress: Called with (texts done, texts in all).
    """
    copies: list[int | None] = [None] * len(keys)
    if threshold <= 0 or not keys:
        return copies
    bands = _shared_bands(_digests(keys, progress))
    kept: dict[int, tuple[list[str], frozenset[str]]] = {}
    buckets: defaultdict[int, list[int]] = defaultdict(list)
    for index, own in bands.items():
        words = words_of(keys[index])
        distinct = frozenset(words)
        for other in sorted({other for band in own for other in buckets[band]}):
            others, distinct_others = kept[other]
            repeated = min(len(words) - len(distinct), len(others) - len(distinct_others))
            most = len(distinct & distinct_others) + repeated  # upper bound of the common words
            if max(len(words), len(others)) - most > 1 and most < threshold * (len(words) + len(others) - most):
                continue  # nearly all candidates end here, so `_enough` is inlined
            same_answer = _same_answer(answers[other], answers[index]) if answers else None
            if is_near_copy(others, words, threshold, same_answer=same_answer):
                copies[index] = other
                break
        else:
            kept[index] = words, distinct
            for band in own:
                if len(buckets[band]) < MAX_BUCKET:
                    buckets[band].append(index)
    if progress:
        progress(len(keys), len(keys))
    return copies


def is_near_copy(
    one: Sequence[str], other: Sequence[str], threshold: float, *, same_answer: bool | None = None
) -> bool:
    """Whether two texts, as words, are the same task; `same_answer`: whether their answers are equal, if known."""
    if one == other:
        return bool(one)
    if max(len(one), len(other)) < MIN_WORDS:
        return False
    common = (Counter(one) & Counter(other)).total()
    if not _enough(len(one), len(other), common, threshold):
        return False
    removed: list[str] = []
    added: list[str] = []
    for tag, a, b, c, d in SequenceMatcher(None, one, other, autojunk=False).get_opcodes():
        if tag != "equal":
            removed += one[a:b]
            added += other[c:d]
    if changes_the_task(removed, added):
        return False
    common = len(one) - len(removed)
    if is_light(removed, added) or same_answer:
        return _enough(len(one), len(other), common, threshold)
    least = threshold if same_answer is None else max(threshold, SAME_WHATEVER_THE_ANSWER)
    return common >= least * (len(one) + len(other) - common)


def _same_answer(one: str, other: str) -> bool | None:
    """Whether two answers are equal; None where they are equal but often are by chance, such as `yes`."""
    one, other = normalized(one), normalized(other)
    return None if one == other and one in ("yes", "no", "true", "false") else one == other


def _enough(first: int, second: int, common: int, threshold: float) -> bool:
    """Whether texts with these numbers of words differ in at most one word, or overlap by the threshold."""
    return max(first, second) - common <= 1 or common >= threshold * (first + second - common)


def _digests(keys: Sequence[str], progress: Callable[[int, int], None] | None) -> UInt64[np.ndarray, "texts bands"]:
    """A hash of each band of each text's MinHash signature, combined with the numbers in the text, which must agree."""
    from datasketch import MinHash

    digests = np.empty((len(keys), BANDS), np.uint64)
    mixers = np.random.Generator(np.random.PCG64(SEED)).integers(1, 2**63, ROWS, np.uint64) * np.uint64(2) + np.uint64(
        1
    )
    blank = MinHash(num_perm=BANDS * ROWS, seed=SEED, hashfunc=crc32)
    for index, key in enumerate(keys):
        if progress and index % PROGRESS_EVERY == 0:
            progress(index, len(keys))
        words = words_of(key)
        signature = blank.copy()
        signature.update_batch({word.encode() for word in words})
        numbers = crc32(" ".join(filter(is_number, words)).encode())
        rows = signature.hashvalues.astype(np.uint64).reshape(BANDS, ROWS)
        digests[index] = (rows * mixers).sum(axis=1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(
            numbers
        )
    return digests


def _shared_bands(digests: UInt64[np.ndarray, "texts bands"]) -> dict[int, list[int]]:
    """For each text that shares a band with another, in order, the ids of those bands."""
    shared: defaultdict[int, list[int]] = defaultdict(list)
    for band, column in enumerate(digests.T):
        order = np.argsort(column, kind="stable")
        same = column[order][1:] == column[order][:-1]
        starts = np.concatenate([[True], ~same])
        many = ~starts | np.concatenate([same, [False]])
        runs = np.cumsum(starts) * BANDS + band
        for index, run in zip(order[many].tolist(), runs[many].tolist(), strict=True):
            shared[index].append(run)
    return dict(sorted(shared.items()))
