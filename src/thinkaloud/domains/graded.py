"""The measure of the graded domains: length, lexical diversity, relevance, and guards against made-for-measure text.

    value = (0.3 length + 0.25 diversity + 0.25 relevance) x guard

Length: reasoning of 20 to 500 words, answer of 10 to 300, half each, falling off linearly outside.
Diversity: MATTR (Covington and McFall 2010, doi:10.1080/09296171003643098), the mean type-token ratio of a window
that moves over the answer; full from 0.70, none below 0.35. Differs from the paper: the window is 25 words, not 50 to
500, so that answers of 25 words are measured like long ones; shorter answers are one window, and below ten words the
measure shrinks with their number.
Relevance: distinct content stems of the question that the answer uses; full at half of them, or five. The system prompt
counts for nothing.
Guard: the weakest guard of the answer, times the mean of 1 and the weakest guard of the reasoning (`guards`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from thinkaloud.domains import guards
from thinkaloud.domains.base import DomainScore
from thinkaloud.domains.guards import MAX_CHARS, Ngrams, ramp
from thinkaloud.domains.wording import (
    DETERMINERS,
    FUNCTION_WORDS,
    content_stems,
    count_words,
    question_stems,
    split_words,
    stem,
)
from thinkaloud.prompt.frames import SYSTEM, TASK_TEMPLATE
from thinkaloud.records import Status

LENGTH, DIVERSITY, RELEVANCE = 0.3, 0.25, 0.25
REASONING_WORDS = (20, 500)
ANSWER_WORDS = (10, 300)
WINDOW = 25
MAX_STEMS = 5
_SYSTEM_TEXT = SYSTEM + TASK_TEMPLATE
_SENTENCE_END = re.compile(r"[.!?;\n]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Graded:
    """What sets one graded domain apart.

    Args:
        copy: share of the answer's words inside 4-grams of the question at which the guard is 0, and up to which it
            is 1.
        function: share of function words in the answer at which the guard is 0, and from which it is 1.
        density: share of the answer's content words that are the question's at which the guard is 0, and up to which
            it is 1; None where the question holds all that the answer may say.
        shorter: the answer must be shorter than the question: a share of its words at which the guard is 0, and up to
            which it is 1; None where length relative to the question says nothing.
    """

    copy: tuple[float, float] = (0.7, 0.4)
    function: tuple[float, float] = (0.08, 0.22)
    density: tuple[float, float] | None = (0.8, 0.55)
    shorter: tuple[float, float] | None = None


def score_graded(spec: Graded, question: str, reasoning: str, answer: str) -> DomainScore:
    """The score of a completion in a graded domain.

    Args:
        spec: the domain's parameters.
        question: the task's question, the source text included where there is one.
        reasoning: the text between the reasoning tags.
        answer: the text between the answer tags.

    Returns:
        A value in [0, 0.8] with its components `length`, `diversity` and `relevance`, the guard worked in.
    """
    thought, said = split_words(reasoning), split_words(answer)
    num_thought, num_said = count_words(reasoning), count_words(answer)
    measures = {
        "length": LENGTH * (in_range(num_thought, *REASONING_WORDS) + in_range(num_said, *ANSWER_WORDS)) / 2,
        "diversity": DIVERSITY * diversity(said),
        "relevance": RELEVANCE * relevance(answer[:MAX_CHARS], question_stems(question)),
    }
    answer_guards = _answer_guards(spec, question, answer, said, num_said)
    thought_guards = _thought_guards(question, reasoning, thought, said)
    guard = min(answer_guards.values()) * (1.0 + min(thought_guards.values())) / 2.0
    components = {name: value * guard for name, value in measures.items()}
    weak = [f"{name} {value:.2f}" for name, value in (answer_guards | thought_guards).items() if value < 1.0]
    explanation = f"reasoning {num_thought} words, answer {num_said} words" + (
        f"; held down by {', '.join(weak)}" if weak else ""
    )
    return DomainScore(
        value=sum(components.values()), status=Status.GRADED, components=components, explanation=explanation
    )


def in_range(count: int, low: int, high: int) -> float:
    """1 from `low` to `high`, falling linearly to 0 at nothing and at twice `high`."""
    return count / low if count < low else max(0.0, min(1.0, 2.0 - count / high))


def diversity(words: list[str]) -> float:
    """MATTR over `WINDOW` words, 0.35 to 0.70 stretched over [0, 1]; below ten words it shrinks with their number."""
    if not words:
        return 0.0
    width = min(WINDOW, len(words))
    counts: dict[str, int] = {}
    types = 0
    for i, word in enumerate(words):
        counts[word] = counts.get(word, 0) + 1
        if i >= width:
            gone = words[i - width]
            counts[gone] -= 1
            if not counts[gone]:
                del counts[gone]
        if i >= width - 1:
            types += len(counts)
    mattr = types / (width * (len(words) - width + 1))
    return ramp(mattr, 0.35, 0.70) * min(1.0, len(words) / 10)


def relevance(text: str, stems: frozenset[str]) -> float:
    """Distinct question stems used, against half of them or five.

    A list of keywords counts as one: five or more stems in a row, three or more joined by "and" or "or", or a sentence
    that holds nothing else.
    """
    if not stems:
        return 1.0
    used: set[str] = set()
    for sentence in _SENTENCE_END.split(text):
        run: list[str] = []
        joined = False
        words = split_words(sentence)
        for word in [*words, ""]:
            found = "" if word in FUNCTION_WORDS else stem(word)
            if found in stems:
                run.append(found)
            elif run and (word in ("and", "or") or (joined and word in DETERMINERS)):
                joined = True
            else:
                is_list = len(run) >= (3 if joined else 5) or len(run) == len(words)
                used.update(run[:1] if is_list else run)
                run, joined = [], False
    needed = min(-(-len(stems) // 2), MAX_STEMS)
    return min(1.0, len(used) / needed)


def density(words: list[str], stems: frozenset[str]) -> float:
    """The share of content words that are the question's; 0 for fewer than five."""
    content = content_stems(words)
    return sum(word in stems for word in content) / len(content) if len(content) >= 5 else 0.0


def _answer_guards(spec: Graded, question: str, text: str, words: list[str], num_words: int) -> dict[str, float]:
    copied = max(guards.copied_share(words, _grams(source)) for source in (question, _SYSTEM_TEXT))
    found = {
        "repetition": guards.repetition(words),
        "word order": guards.order(words, text),
        "rhythm": guards.rhythm(words),
        "function words": guards.function_words(words, *spec.function),
        "spelling": guards.spelling(words),
        "copies the prompt": ramp(copied, *spec.copy),
    }
    if spec.density is not None:
        found["keyword density"] = ramp(density(words, question_stems(question)), *spec.density)
    if spec.shorter is not None:
        found["as long as its source"] = ramp(num_words / max(1, count_words(question)), *spec.shorter)
    return found


def _thought_guards(question: str, text: str, words: list[str], said: list[str]) -> dict[str, float]:
    """Looser than the answer's: a plan in notes is a plan."""
    copied = max(guards.copied_share(words, _grams(source)) for source in (question, _SYSTEM_TEXT))
    found = {
        "repetition": guards.repetition(words),
        "word order": guards.order(words, text, zero=-0.8, one=-0.3),
        "rhythm": guards.rhythm(words),
        "function words": guards.function_words(words, 0.05, 0.18),
        "spelling": guards.spelling(words),
        "copies the prompt": ramp(copied, 0.9, 0.6),
        "copies the answer": ramp(guards.copied_share(words, guards.ngrams(said)), 0.9, 0.6),
    }
    return {f"reasoning: {name}": value for name, value in found.items()}


@lru_cache(maxsize=256)
def _grams(text: str) -> Ngrams:
    return guards.ngrams(split_words(text))
