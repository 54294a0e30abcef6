"""Logic: yes or no, as a whole word, one polarity only.

`true` and `false` mean yes and no, in the gold answer and in the completion. A negation just before a polarity word
turns it over ("not true" is no). Both polarities in one answer earn nothing, whatever their order. Tasks whose gold
answer is neither are compared as multiple choice or short text, as in science.
"""

from __future__ import annotations

import re

from thinkaloud.domains.base import CodeRunner, Domain, DomainScore, correct, no_answer, quote, wrong
from thinkaloud.domains.science import score_choice, score_short_text
from thinkaloud.records import Task

MAX_CHARS = 5_000
"""Of a longer answer nothing is read: it is wrong."""

_POLARITY = {"yes": True, "true": True, "no": False, "false": False}
_NEGATION = frozenset({"not", "never", "isn't", "isnt", "wasn't", "hardly", "cannot"})
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


def polarities(text: str) -> set[bool]:
    """The polarities that a text states.

    >>> polarities("I know"), polarities("Yes."), polarities("That is not true")
    (set(), {True}, {False})
    """
    found = set()
    before: list[str] = []
    for word in _WORD.findall(text.casefold().replace("’", "'")):
        if word in _POLARITY:
            found.add(_POLARITY[word] != any(w in _NEGATION for w in before[-2:]))
        before.append(word)
    return found


def score(task: Task, reasoning: str, answer: str, sandbox: CodeRunner | None = None) -> DomainScore:
    """Full marks where the answer states the gold polarity and not the other."""
    gold = polarities(task.answer)
    if len(gold) != 1 or len(task.answer.split()) > 1:
        return score_choice(task, answer) if task.choices else score_short_text(task, answer)
    if len(answer) > MAX_CHARS:
        return wrong(f"expected yes or no, found an answer of {len(answer):,} characters")
    if _is_copied(answer, task.question):
        return wrong("copied from the question")
    said = polarities(answer)
    if not said:
        return no_answer(f"neither yes nor no in {quote(answer)}")
    if len(said) > 1:
        return wrong("says both yes and no")
    word = "yes" if said.pop() else "no"
    if gold == polarities(word):
        return correct(word)
    return wrong(f"says {word}")


def _is_copied(answer: str, question: str) -> bool:
    """True for three or more words of the question in a row, and nothing else: its "no" is no answer."""
    said, asked = (" ".join(_WORD.findall(text.casefold())) for text in (answer, question))
    return said.count(" ") >= 2 and f" {said} " in f" {asked} "


DOMAIN = Domain(
    name="logic",
    kind="verifiable",
    description="yes or no (true or false) as a whole word, one polarity only",
    score=score,
    uses_choices=True,
)
