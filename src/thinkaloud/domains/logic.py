"""Logic: yes or no, one polarity only.

`true` and `false` mean yes and no, in the gold answer and in the completion. `polarity` reads what an answer states; an
answer whose polarity is not plain earns nothing. Where the task shows options, their letters count too. Tasks whose
gold answer is neither yes nor no are compared as multiple choice or short text, as in science.
"""

from __future__ import annotations

from thinkaloud.domains.base import CodeRunner, Domain, DomainScore, correct, no_answer, quote, wrong
from thinkaloud.domains.choices import LETTERS, label_alone, label_and_rest, labels_inside, resolve_gold
from thinkaloud.domains.consistency import by_polarity
from thinkaloud.domains.markup import disguise, unwrapped
from thinkaloud.domains.polarity import NO, YES, Polarity, read_polarity
from thinkaloud.domains.science import score_choice, score_short_text
from thinkaloud.domains.text import plain, without_lead_in
from thinkaloud.domains.wording import WORD
from thinkaloud.records import Task

MAX_CHARS = 5_000
"""Of a longer answer nothing is read: it is wrong."""


def score(task: Task, reasoning: str, answer: str, sandbox: CodeRunner | None = None) -> DomainScore:
    """Full marks where the answer states the gold polarity and not the other."""
    gold = polarity_of_word(task.answer)
    if gold is None and (right := resolve_gold(task.answer, task.choices)) is not None:
        gold = polarity_of_word(task.choices[right])
    if gold is None:
        return score_choice(task, answer) if task.choices else score_short_text(task, answer)
    if len(answer) > MAX_CHARS:
        return wrong(f"expected yes or no, found an answer of {len(answer):,} characters")
    if reason := disguise(answer):
        return no_answer(reason)
    if _is_copied(answer, task.question):
        return wrong("copied from the question")
    said = _read_with_options(unwrapped(answer), task.choices) if task.choices else read_polarity(unwrapped(answer))
    if said.value is None:
        return wrong(said.why) if said.both else no_answer(f"{said.why} in {quote(answer)}")
    word = "yes" if said.value else "no"
    return correct(word) if said.value == gold else wrong(f"says {word}")


def polarity_of_word(text: str) -> bool | None:
    """The polarity of a text that is one word (`Yes`, `false.`); None for any other text."""
    word = plain(text).casefold()
    return True if word in YES else False if word in NO else None


def _read_with_options(answer: str, choices: tuple[str, ...]) -> Polarity:
    """The polarity that an answer states by an option's letter, in words, or both where they agree."""
    for text in (plain(answer), without_lead_in(answer)):
        if (index := label_alone(text, choices)) is not None:
            return _of_option(index, choices)
    index, rest = label_and_rest(plain(answer), choices) or (None, answer)
    said = read_polarity(rest)
    if said.value is None and resolve_gold(rest, choices) is not None:
        said = Polarity(None, "says neither yes nor no")  # a third option, such as "unknown"
    named = labels_inside(rest, choices) | ({index} if index is not None else set())
    if said.value is not None and any(polarity_of_word(choices[i]) != said.value for i in named):
        letters = " and ".join(LETTERS[i] for i in sorted(named))
        return Polarity(None, f"letter {letters} and the words disagree", both=True)
    return said


def _of_option(index: int, choices: tuple[str, ...]) -> Polarity:
    value = polarity_of_word(choices[index])
    return Polarity(value, "" if value is not None else f"option {LETTERS[index]} is neither yes nor no")


def _is_copied(answer: str, question: str) -> bool:
    """True for three or more words of the question in a row, and nothing else: its "no" is no answer."""
    said, asked = (" ".join(WORD.findall(text.casefold())) for text in (answer, question))
    return said.count(" ") >= 2 and f" {said} " in f" {asked} "


DOMAIN = Domain(
    name="logic",
    kind="verifiable",
    description="yes or no (true or false), one polarity only, stated plainly; options also by letter",
    score=score,
    agrees=by_polarity,
    uses_choices=True,
)
