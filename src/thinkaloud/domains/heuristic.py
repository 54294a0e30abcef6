"""The measure of the graded domains: length, lexical diversity, relevance, and guards against made-for-measure text.

    value = (0.3 length + 0.25 diversity + 0.25 relevance) x guard

Length: reasoning of 20 to 500 words, answer of 10 to 300, half each, falling off linearly outside.
Diversity: MATTR (Covington and McFall 2010, doi:10.1080/09296171003643098), the mean type-token ratio of a window
that moves over the answer; full from 0.70, none below 0.35. Differs from the paper: the window is 25 words, not 50 to
500, so that answers of 25 words are measured like long ones; shorter answers are one window, and below ten words the
measure shrinks with their number.
Relevance: distinct content stems of the question that the answer uses, runs copied from the question aside; full at
three and a half, or where it has fewer than four at all but half a one; in summaries full at five, or where the
source's stems are two in five of the answer's; shrinking below ten words as diversity does. The system prompt counts
for nothing.
Guard: the weakest guard of the answer, times the mean of 1 and the weakest guard of the reasoning (`guards`).

All of it looks at words alone, English ones: what that cannot tell apart stands in `thinkaloud.rewards.bench`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from thinkaloud.domains import discourse, guards
from thinkaloud.domains.base import DomainScore
from thinkaloud.domains.discourse import without_comments
from thinkaloud.domains.guards import ramp
from thinkaloud.domains.measures import (
    ANSWER_WORDS,
    DIVERSITY,
    LENGTH,
    REASONING_WORDS,
    RELEVANCE,
    diversity,
    in_range,
    novelty,
    own_tokens,
    relevance,
)
from thinkaloud.domains.vague import VAGUE
from thinkaloud.domains.wording import Text, count_words, question_stems
from thinkaloud.prompt.chat_templates import SYSTEM, TASK_TEMPLATE
from thinkaloud.records import Status

_SYSTEM_TEXT = SYSTEM + TASK_TEMPLATE
_ITEM = re.compile(r"^[ \t]*(?:[-*•]|\d{1,2}[.)])?[ \t]*[^\W_][^\n]*?[ -][^\W_]", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Graded:
    """What sets one graded domain apart.

    Args:
        copy: share of the answer's words inside 4-grams of the question at which the guard is 0, and up to which it
            is 1.
        step: share of the answer's content words that follow one another as in the question at which the guard is 0,
            and up to which it is 1.
        function: share of function words in the answer at which the guard is 0, and from which it is 1.
        novelty: distinct content stems that are not the question's, per word of the answer, at which the guard is 0,
            and from which it is 1; None where the question holds all that the answer may say.
        shorter: the answer must be shorter than the question: a share of its words at which the guard is 0, and up to
            which it is 1; None where length relative to the question says nothing.
        lists: an answer in three or more list items of two or more words each may do without function words.
        vague: share of words that fit every text, among the answer's own content words, at which the guard is 0, and up
            to which it is 1.
        asks: questions are as good as statements.
        grounded: share of the answer's content stems that must be the question's for full relevance.
    """

    copy: tuple[float, float] = (0.7, 0.4)
    step: tuple[float, float] = (0.6, 0.4)
    function: tuple[float, float] = (0.08, 0.22)
    novelty: tuple[float, float] | None = (0.06, 0.18)
    shorter: tuple[float, float] | None = None
    lists: bool = False
    grounded: float = 0.0
    vague: tuple[float, float] = (0.75, 0.5)
    asks: bool = True


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
    thought, said = Text.read(without_comments(reasoning)), Text.read(without_comments(answer))
    length = in_range(thought.num_words, *REASONING_WORDS) + in_range(said.num_words, *ANSWER_WORDS)
    measures = {
        "length": LENGTH * length / 2,
        "diversity": DIVERSITY * diversity(said.words),
        "relevance": RELEVANCE * _relevance(spec, question, said) * min(1.0, said.num_words / 10),
    }
    answer_guards = _answer_guards(spec, question, said)
    thought_guards = _thought_guards(question, thought, said)
    guard = min(answer_guards.values()) * (1.0 + min(thought_guards.values())) / 2.0
    components = {name: value * guard for name, value in measures.items()}
    weak = [f"{name} {value:.2f}" for name, value in (answer_guards | thought_guards).items() if value < 1.0]
    explanation = f"reasoning {thought.num_words} words, answer {said.num_words} words" + (
        f"; held down by {', '.join(weak)}" if weak else ""
    )
    return DomainScore(
        value=sum(components.values()), status=Status.GRADED, components=components, explanation=explanation
    )


def _relevance(spec: Graded, question: str, answer: Text) -> float:
    stems = question_stems(question)
    if not spec.grounded:
        return relevance(own_tokens(answer, question), stems)
    telling = stems - VAGUE or stems
    need = min(float(len(telling)), max(5.0, spec.grounded * len(set(answer.stems))))
    return relevance(answer.tokens, telling, need)


def _answer_guards(spec: Graded, question: str, answer: Text) -> dict[str, float]:
    found = {
        "repetition": guards.repetition(answer),
        "word order": guards.order(answer),
        "rhythm": guards.rhythm(answer),
        "function words": guards.function_words(answer, *spec.function),
        "spelling": guards.spelling(answer),
        "one word": guards.one_word(answer),
        "fits every prompt": guards.vague(
            answer, frozenset() if spec.grounded else question_stems(question), *spec.vague
        ),
        "refusal": discourse.refusal(answer),
        "one sentence repeated": discourse.same_frame(answer),
        "about itself": discourse.about_itself(answer, question_stems(question)),
        "copies the prompt": ramp(_copied_from_prompt(answer, question), *spec.copy),
        "copies the prompt in step": ramp(guards.in_step(answer, question), *spec.step),
    }
    if not spec.asks:
        found["questions"] = discourse.questions(answer)
    if spec.lists and (items := len(_ITEM.findall(answer.raw))) >= 3:
        # an item of two words is a label rather than an idea
        found["function words"] = max(found["function words"], 0.8 * ramp(answer.num_words / items, 1.0, 3.0))
    if spec.novelty is not None and len(answer.words) >= guards.MIN_WORDS:
        found["nothing new"] = ramp(novelty(answer.words, question_stems(question)), *spec.novelty)
    if spec.shorter is not None:
        found["as long as its source"] = ramp(answer.num_words / max(1, count_words(question)), *spec.shorter)
    return found


def _thought_guards(question: str, reasoning: Text, answer: Text) -> dict[str, float]:
    """Looser than the answer's: a plan in notes is a plan."""
    found = {
        "repetition": guards.repetition(reasoning),
        "word order": guards.order(reasoning, zero=-0.6, one=-0.1, sure=0.0),
        "rhythm": guards.rhythm(reasoning),
        "function words": guards.function_words(reasoning, 0.05, 0.18),
        "spelling": guards.spelling(reasoning),
        "copies the prompt": ramp(_copied_from_prompt(reasoning, question), 0.9, 0.6),
        "copies the answer": ramp(guards.copied_share(reasoning, set(answer.grams)), 0.9, 0.6),
    }
    return {f"reasoning: {name}": value for name, value in found.items()}


def _copied_from_prompt(text: Text, question: str) -> float:
    return max(guards.copied_share(text, guards.grams_of(source)) for source in (question, _SYSTEM_TEXT))
