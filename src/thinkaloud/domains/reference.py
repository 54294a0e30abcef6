"""Free text compared with a gold answer: the scorer of a user's own questions whose answers are sentences.

    value = 0.8 ramp(0.75 token F1 + 0.25 ROUGE-L) x guard

Token F1 (Rajpurkar et al. 2016, arXiv:1606.05250, section 4): the harmonic mean of precision and recall over the
multiset of tokens. Differs: stems of content words instead of all words, and only those that the question does not hold
already where the gold answer has such; repeating the question earns nothing.
ROUGE-L (Lin 2004, ACL W04-1013, section 3): the harmonic mean of the longest common subsequence's shares of both texts,
over the stems of all words; RapidFuzz computes the subsequence. `rouge_score` gives the same where the tokens
are the same, but is many times slower and needs NLTK.
Guard: what the answer says against the gold answer, however similar the words are: a negation, an opposite, a number or
a name in the place of another. Words alone cannot tell every false answer from a paraphrase: see docs/data.md, and mix
in a judge (`[judge]`), which is shown the gold answer.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, pairwise

from thinkaloud.domains.base import FULL, CodeRunner, Domain, DomainScore, no_answer, quote, unscorable
from thinkaloud.domains.guards import ramp
from thinkaloud.domains.markup import disguise, unwrapped
from thinkaloud.domains.opposites import NEGATIONS, are_opposite, opposites_in
from thinkaloud.domains.short_text import normal, same_short_text
from thinkaloud.domains.word_classes import FUNCTION_WORDS
from thinkaloud.domains.wording import MAX_CHARS, stem
from thinkaloud.records import Status, Task

F1_WEIGHT = 0.75
"""The rest is ROUGE-L's, which also counts the sentence frame that a false answer shares with the gold answer."""
SIMILARITY = (0.2, 0.65)
"""The weighted mean up to which nothing is earned, and from which all is: paraphrases share about half their words."""
CONTRADICTED = 0.1
"""The guard where the answer says something against the gold answer."""
INCOMPLETE = 0.5
"""The guard where a number or a name of the gold answer is missing, or the answer has a name of its own."""

PASSAGE_WORDS = 60
"""A question of more words holds a passage: its words are no echo, and its numbers are no better than others."""

_WORD = re.compile(r"[-−]?\d+(?:,\d{3})*(?:\.\d+)?|[^\W_]+(?:['’][^\W_]+)*")
_ITEM = re.compile(r"^[ \t]*(?:[-*•]|\d{1,2}[.)])[ \t]+", re.MULTILINE)
_ENDINGS = ("ation", "ness", "ment", "ion", "ity", "ive", "ous", "al")
_QUANTIFIERS = frozenset({"all", "any", "some", "every", "each", "none", "second", "may", "first", "last", "final"})
"""Words that also have other senses: never opposites here."""


@dataclass(frozen=True, slots=True)
class Words:
    """A text's words: lower-case `words`, the `stems` of all, the `content` stems, `numbers` and `names`.

    `names` are lower-case words written with a capital inside a sentence; `openings` open a sentence with one.
    """

    words: tuple[str, ...]
    stems: tuple[str, ...]
    content: tuple[str, ...]
    numbers: frozenset[str]
    names: frozenset[str]
    openings: frozenset[str]

    @classmethod
    def read(cls, text: str) -> Words:
        flat = _ITEM.sub("", unwrapped(text[:MAX_CHARS]))
        words: list[str] = []
        stems: list[str] = []
        content: list[str] = []
        numbers: list[str] = []
        names: list[str] = []
        openings: list[str] = []
        end = 0
        for match in _WORD.finditer(flat):
            word = match[0].lower().replace("’", "'")[:40]
            gap = flat[end : match.start()]
            opens = end == 0 or (gap != " " and any(mark in gap for mark in ".!?:\n"))
            end = match.end()
            is_number = not word.isalpha() and any(c.isdigit() for c in word)
            if is_number:
                word = "".join(normal(word, "words")) or word
                numbers.append(word)
            found = root(word)
            words.append(word)
            stems.append(found)
            if word in FUNCTION_WORDS:
                continue
            if match[0][0].isupper() and not is_number:
                (openings if opens and match[0][1:].islower() else names).append(found)
            if word not in NEGATIONS:
                content.append(found)
        return cls(
            words=tuple(words),
            stems=tuple(stems),
            content=tuple(content),
            numbers=frozenset(numbers),
            names=frozenset(names),
            openings=frozenset(openings),
        )


@lru_cache(maxsize=256)  # a group's answers are compared with the same texts
def _read(text: str) -> Words:
    return Words.read(text)


@lru_cache(maxsize=65_536)
def root(word: str) -> str:
    """A stem without the endings that make nouns and adjectives, too: density and dense meet.

    >>> [root(word) for word in ("density", "dense", "proportionally", "proportion", "infected", "infection")]
    ['dens', 'dens', 'proport', 'proport', 'infect', 'infect']
    """
    found = stem(word)
    while ending := next((e for e in _ENDINGS if found.endswith(e) and len(found) - len(e) >= 4), ""):
        found = found[: -len(ending)]
    return found


def token_f1(answer: Sequence[str], gold: Sequence[str]) -> float:
    """The harmonic mean of the precision and the recall of tokens, with their multiplicity.

    >>> token_f1(["a", "b", "b"], ["b", "c"])
    0.4
    """
    common = sum((Counter(answer) & Counter(gold)).values())
    return 2 * common / (len(answer) + len(gold)) if common else 0.0


def rouge_l(answer: Sequence[str], gold: Sequence[str]) -> float:
    """ROUGE-L, F-measure with equal weights.

    >>> rouge_l(["the", "cat", "sat"], ["the", "cat", "was", "sat", "on"])
    0.75
    """
    from rapidfuzz.distance import LCSseq  # loaded where it is needed: most runs have no such domain

    common = LCSseq.similarity(answer, gold)
    return 2 * common / (len(answer) + len(gold)) if common else 0.0


def score(task: Task, reasoning: str, answer: str, sandbox: CodeRunner | None = None) -> DomainScore:
    """A value in [0, 0.8]: how much of the gold answer the answer says, less where it contradicts it."""
    if not task.answer.strip():
        return unscorable("the gold answer is empty")
    if answer.strip() == task.answer.strip() or same_short_text(answer, task.answer):
        return _graded(F1_WEIGHT, 1.0 - F1_WEIGHT, f"the same as {quote(task.answer)}")
    if reason := disguise(answer, task.answer + task.question):
        return no_answer(reason)
    said, gold, asked = Words.read(answer), _read(task.answer), _read(task.question)
    if not said.words:
        return no_answer("the answer holds no word")
    if len(asked.words) > PASSAGE_WORDS:
        asked = _read("")
    elif f" {' '.join(said.words)} " in f" {' '.join(asked.words)} " and len(said.words) > 3:
        return _graded(0.0, 0.0, "copied from the question")
    known = frozenset(asked.stems)
    f1 = token_f1(*_beyond(known, said.content, gold.content)) if len(answer) <= MAX_CHARS else 0.0
    rouge = rouge_l(said.stems, gold.stems)
    shares = F1_WEIGHT * f1, (1.0 - F1_WEIGHT) * rouge
    guard, why = _guard(said, gold, asked)
    scale = ramp(sum(shares), *SIMILARITY) * guard / sum(shares) if f1 else 0.0
    explanation = f"token F1 {f1:.2f}, ROUGE-L {rouge:.2f}" + (f"; {why}" if why else "")
    return _graded(shares[0] * scale, shares[1] * scale, explanation)


def _graded(f1: float, rouge: float, explanation: str) -> DomainScore:
    """A score from the shares of the two measures, which sum to at most 1."""
    components = {"token_f1": FULL * f1, "rouge_l": FULL * rouge}
    return DomainScore(
        value=sum(components.values()), status=Status.GRADED, components=components, explanation=explanation
    )


def _beyond(known: Collection[str], said: Sequence[str], gold: Sequence[str]) -> tuple[list[str], list[str]]:
    """The content stems that the question does not hold; all of them where the gold answer has no other."""
    new = [one for one in gold if one not in known]
    if not new:
        return list(said), list(gold)
    return [one for one in said if one not in known], new


def _guard(said: Words, gold: Words, asked: Words) -> tuple[float, str]:
    """A factor in [0, 1], and what it is for."""
    if own := said.numbers - gold.numbers - asked.numbers:
        return CONTRADICTED, f"the number {min(own)} is not the gold answer's"
    opposites = _opposites(said, gold, asked)
    negated = _negates(said) != _negates(gold)
    if opposites and not negated:
        return CONTRADICTED, f"{opposites[0]!r} instead of {opposites[1]!r}"
    if negated and not opposites:
        return CONTRADICTED, "one of the two is negated"
    own_names = (said.names - asked.names) - frozenset(gold.stems) - frozenset(asked.stems)
    wanted = gold.names - frozenset(asked.stems)
    missing = wanted - frozenset(said.stems)
    replaced = own_names | (said.openings - frozenset(gold.stems) - frozenset(asked.stems))
    if missing and replaced:
        return CONTRADICTED, f"the name {min(replaced)!r} instead of {min(missing)!r}"
    if own_names or (wanted and missing == wanted):
        return INCOMPLETE, f"the name {min(missing or own_names)!r} stands in one of the two alone"
    if lost := gold.numbers - said.numbers - asked.numbers:
        return INCOMPLETE, f"the number {min(lost)} is missing"
    return (INCOMPLETE, "a negated opposite") if opposites else (1.0, "")


def _opposites(said: Words, gold: Words, asked: Words) -> tuple[str, str] | None:
    """A word of the answer that excludes a word of the gold answer, each in one of the two alone."""
    added = sorted(set(said.words) - set(gold.words) - set(asked.words) - _QUANTIFIERS - NEGATIONS)[:400]
    removed = sorted(set(gold.words) - set(said.words) - _QUANTIFIERS - NEGATIONS)[:400]
    others = frozenset(removed)
    found = next(((new, min(old)) for new in added if (old := opposites_in(new, others))), None)
    return found or _swapped(said.words, gold.words) or _swapped(said.words[::-1], gold.words[::-1])


def _swapped(said: Sequence[str], gold: Sequence[str]) -> tuple[str, str] | None:
    """Two opposites before the same word: "less expensive" where the gold answer has "more expensive"."""
    before: dict[str, dict[str, None]] = {}
    for word, after in pairwise(gold):
        if after not in FUNCTION_WORDS:
            before.setdefault(after, {})[word] = None
    for word, after in pairwise(said):
        others = before.get(after, {})
        if word not in others and word not in _QUANTIFIERS:
            for other in islice(others, 50):
                if are_opposite(other, word):
                    return word, other
    return None


def _negates(text: Words) -> bool:
    return any(word in NEGATIONS or word.endswith("n't") for word in text.words)


DOMAIN = Domain(
    name="reference",
    kind="heuristic",
    description="free text compared with the gold answer: token F1 and ROUGE-L, less where numbers, names, negations "
    "or opposites contradict it",
    score=score,
    uses_gold=True,
)
"""Not one of the domains of tables: a source of the user's own names it with `scored_as = "reference"`."""
