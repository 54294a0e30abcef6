"""What the graded domains measure: length, lexical diversity, relevance; and what is new in an answer."""

from __future__ import annotations

from functools import lru_cache

from thinkaloud.domains.guards import ramp
from thinkaloud.domains.word_classes import DETERMINERS, ENDS, FUNCTION_WORDS, PAUSE, PAUSES, class_of
from thinkaloud.domains.wording import Text, content_stems, split_words, stem

LENGTH, DIVERSITY, RELEVANCE = 0.3, 0.25, 0.25
"""The most that each can add to a reward."""

REASONING_WORDS = (20, 500)
ANSWER_WORDS = (10, 300)
"""From how many words to how many the length is right."""

WINDOW = 25
MAX_STEMS = 4
NOVELTY_WORDS = 60
RUN = 6


def in_range(count: int, low: int, high: int) -> float:
    """1 from `low` to `high`, falling linearly to 0 at nothing and at twice `high`."""
    return count / low if count < low else max(0.0, min(1.0, 2.0 - count / high))


def diversity(words: list[str]) -> float:
    """MATTR over `WINDOW` words, 0.35 to 0.70 stretched over [0, 1]; below ten words it shrinks with their number."""
    if not words:
        return 0.0
    width = min(WINDOW, len(words))
    num_windows = len(words) - width + 1
    last: dict[str, int] = {}
    types = 0
    for at, word in enumerate(words):
        # a word counts once in every window that starts after its last occurrence and still reaches it
        types += max(0, min(at, num_windows - 1) - max(last.get(word, -1), at - width))
        last[word] = at
    return ramp(types / (width * num_windows), 0.35, 0.70) * min(1.0, len(words) / 10)


def relevance(tokens: list[str], stems: frozenset[str], need: float | None = None) -> float:
    """Distinct question stems used, against what is needed for full marks.

    A list of keywords counts as one: five or more stems in a row, three or more joined by "and" or "or", or a sentence
    that holds nothing else.

    Args:
        tokens: the answer's words and sentence ends (`wording.Text`).
        stems: the question's content stems (`wording.question_stems`).
        need: so many stems are full marks; all of them, or four, but for half a stem, unless given.
    """
    if not stems:
        return 1.0
    used: set[str] = set()
    run: list[str] = []
    joined, only_stems = False, True  # since the run began; since the sentence began
    for word in [*tokens, "."]:
        if word in PAUSES:
            continue
        found = "" if word in FUNCTION_WORDS else stem(word)
        if found in stems:
            run.append(found)
        elif run and (word in ("and", "or") or (joined and word in DETERMINERS)):
            joined = True
        else:
            ends = word in ENDS
            is_list = len(run) >= (3 if joined else 5) or (ends and only_stems)
            used.update(run[:1] if is_list else run)
            run, joined, only_stems = [], False, ends
    return min(1.0, len(used) / (need or min(len(stems), MAX_STEMS) - 0.5))


def novelty(words: list[str], stems: frozenset[str]) -> float:
    """Distinct content stems that the question does not hold, per word, over the first 60 words."""
    head = words[:NOVELTY_WORDS]
    return len(set(content_stems(head)) - stems) / max(1, len(head))


def own_tokens(answer: Text, question: str) -> list[str]:
    """The answer's tokens without runs of `RUN` words that stand in the question (or all of a shorter question)."""
    source = runs_of(question)
    width = len(next(iter(source), ()))
    copied = [False] * len(answer.words)
    for start in range(len(answer.words) - width + 1 if width else 0):
        if tuple(answer.words[start : start + width]) in source:
            copied[start : start + width] = [True] * width
    if not any(copied):
        return answer.tokens
    marks = iter(copied)
    return [token for token in answer.tokens if class_of(token) <= PAUSE or not next(marks)]


@lru_cache(maxsize=256)
def runs_of(question: str) -> frozenset[tuple[str, ...]]:
    """The runs of `RUN` words of a question, or its only one where it is shorter."""
    words = split_words(question)
    width = min(RUN, len(words))
    return frozenset(tuple(words[at : at + width]) for at in range(len(words) - width + 1) if width)
