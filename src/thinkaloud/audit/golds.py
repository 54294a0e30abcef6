"""Whether each domain's scorer suits its gold answers: sentences need `scored_as = "reference"`."""

from __future__ import annotations

from statistics import median

from thinkaloud.audit.findings import Finding, Level
from thinkaloud.config import Recipe
from thinkaloud.data import Pool
from thinkaloud.domains import registry_of
from thinkaloud.domains.scorer_file import ScorerFile
from thinkaloud.records import Task

LONG_WORDS = 8
"""Words of a gold answer above which a right answer in other words is the rule, and equality the exception."""
LONG_SHARE = 0.1
"""Share of long gold answers in a domain above which its matching verifier is worth a warning."""
STORY_WORDS = 60
"""Words of the median gold answer above which it is an example of creative work, not an answer to be matched."""

_REMEDY = 'set scored_as = "reference" for the source, or write short gold answers'


def check_scorers(recipe: Recipe, pool: Pool) -> Finding:
    """Warn where a matching verifier meets long gold answers, or a creative heuristic a user's own gold answers."""
    registry = registry_of(recipe)
    own = {name for name, source in recipe.data.sources.items() if source.domain is not None}
    problems: dict[str, str] = {}
    for name, tasks in pool.by_domain("train").items():
        domain = registry.domain(name)
        if domain.uses_gold or domain.runs_code or isinstance(domain.score, ScorerFile):
            continue
        if domain.kind == "verifiable":
            lengths = [_num_words(task) for task in tasks if not task.choices]
            long = sum(length > LONG_WORDS for length in lengths)
            if long > LONG_SHARE * len(tasks):
                problems[name] = (
                    f"{long} of {len(tasks)} gold answers of {name} have more than {LONG_WORDS} words, but only the "
                    "same words are right there: a correct answer in other words earns nothing"
                )
        else:
            lengths = [_num_words(task) for task in tasks if task.source in own]
            if lengths and median(lengths) <= STORY_WORDS and not _summarizes(recipe, name):
                problems[name] = (
                    f"{name} has gold answers of its own, which its heuristic never reads: a false answer earns what a "
                    "right one does"
                )
    return Finding(
        name="scorers",
        level=Level.WARNING if problems else Level.OK,
        message="; ".join(problems.values()) or "every domain's scorer suits its gold answers",
        remedy=_REMEDY if problems else "",
        figures=problems,
    )


def _num_words(task: Task) -> int:
    return sum(any(character.isalpha() for character in word) for word in task.answer.split())


def _summarizes(recipe: Recipe, name: str) -> bool:
    """Whether a domain is scored as summaries, which are graded against the source text."""
    scored_as = {source.scored_as for source in recipe.data.sources.values() if source.domain == name}
    return name == "summarization" or "summarization" in scored_as
