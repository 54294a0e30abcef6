"""Science: the right option by letter or by text, or a short free-text answer."""

from __future__ import annotations

from thinkaloud.domains.base import CodeRunner, Domain, DomainScore, correct, no_answer, quote, unscorable, wrong
from thinkaloud.domains.choices import LETTERS, resolve_answer, resolve_gold
from thinkaloud.domains.consistency import by_option
from thinkaloud.domains.markup import disguise
from thinkaloud.domains.short_text import is_symbols, same_short_text, words
from thinkaloud.records import Task


def score(task: Task, reasoning: str, answer: str, sandbox: CodeRunner | None = None) -> DomainScore:
    """Full marks for the right option, or where there are no options for the gold text after normalisation."""
    return score_choice(task, answer) if task.choices else score_short_text(task, answer)


def score_choice(task: Task, answer: str) -> DomainScore:
    """Multiple choice, for every domain that has it."""
    right = resolve_gold(task.answer, task.choices)
    if right is None:
        return unscorable(f"the gold answer {quote(task.answer)} is none of the options")
    if len(task.choices) > len(LETTERS):
        return unscorable(f"expected at most {len(LETTERS)} options, found {len(task.choices)}")
    pick = resolve_answer(answer, task.choices)
    if pick.index is None:
        return wrong(pick.why) if pick.named else no_answer(pick.why)
    if pick.index == right:
        return correct(pick.why)
    return wrong(f"{pick.why}, expected {LETTERS[right]}")


def score_short_text(task: Task, answer: str) -> DomainScore:
    """A short free-text answer: equal to the gold answer but for case, articles, punctuation, plural and markup."""
    if not task.answer.strip():
        return unscorable("the gold answer is empty")
    if reason := disguise(answer, task.answer):
        return no_answer(reason)
    if same_short_text(answer, task.answer):
        return correct(f"the same as {quote(task.answer)}")
    if not words(answer) and not is_symbols(task.answer):
        return no_answer("the answer holds no word")
    return wrong(f"expected {quote(task.answer)}, found {quote(answer)}")


DOMAIN = Domain(
    name="science",
    kind="verifiable",
    description="the right option by letter or text (both must agree); free text after case, articles, "
    "punctuation, plural and markup are set aside",
    score=score,
    agrees=by_option,
    uses_choices=True,
)
