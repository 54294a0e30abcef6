"""Science: the right option by letter or by text, or a short free-text answer."""

from __future__ import annotations

from functools import lru_cache

from thinkaloud.domains.base import CodeRunner, Domain, DomainScore, correct, no_answer, quote, unscorable, wrong
from thinkaloud.domains.choices import LETTERS, resolve_answer, resolve_gold
from thinkaloud.domains.consistency import by_option
from thinkaloud.domains.markup import disguise
from thinkaloud.domains.short_text import is_symbols, normal, same_short_text, words
from thinkaloud.domains.values.compare import compare
from thinkaloud.domains.values.kinds import Number
from thinkaloud.domains.values.question import read_question
from thinkaloud.domains.values.reader import read
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
    """A short free-text answer: the gold answer but for case, articles, punctuation, plural, markup and units."""
    if not task.answer.strip():
        return unscorable("the gold answer is empty")
    if reason := disguise(answer, task.answer):
        return no_answer(reason)
    if _is_gold(task, answer):
        return correct(f"the same as {quote(task.answer)}")
    if not words(answer) and not is_symbols(task.answer):
        return no_answer("the answer holds no word")
    return wrong(f"expected {quote(task.answer)}, found {quote(answer)}")


def _is_gold(task: Task, answer: str) -> bool:
    """The text of the gold answer, or its quantity. Where the texts differ in case alone, sizes decide: mW and MW."""
    is_same_text, gold = same_short_text(answer, task.answer), _read_gold(task.answer)
    said = read(answer) if isinstance(gold, Number) else None
    if not isinstance(gold, Number) or not isinstance(said, Number):
        return is_same_text
    if not is_same_text:
        return _same_quantity(task, gold, answer, said)
    same_kind = gold.unit is not None and said.unit is not None and gold.unit.dimension == said.unit.dimension
    return not same_kind or gold.size == said.size


def _same_quantity(task: Task, gold: Number, answer: str, said: Number) -> bool:
    """One quantity in units of the same kind (`5 kg`, `5000 grams`), or a count with the thing that was asked for.

    A unit of the gold answer may not be left out: "100" is not "100 °C".
    """
    if said.label or said.per != gold.per:
        return False
    if gold.unit is not None:
        same_kind = said.unit is not None and said.unit.dimension == gold.unit.dimension and said.noun == gold.noun
    else:
        thing = normal(answer, "stems")[1:]  # of "4 chambers"
        same_kind = bool(thing) and not gold.noun and len(thing) == len(said.noun.split())
        same_kind = same_kind and set(thing) <= set(normal(task.question, "stems"))
    return same_kind and not compare(gold, said, read_question(task.question))


_read_gold = lru_cache(maxsize=1024)(read)


DOMAIN = Domain(
    name="science",
    kind="verifiable",
    description="the right option by letter or text (both must agree); free text but for case, articles, "
    "punctuation, plural, markup and the size of units",
    score=score,
    agrees=by_option,
    uses_choices=True,
)
