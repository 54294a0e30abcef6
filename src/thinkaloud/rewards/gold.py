"""Gold answers as completions, and the check that each scores full marks with its own verifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from thinkaloud.domains import BUILTIN, Registry
from thinkaloud.domains.base import CodeRunner
from thinkaloud.prompt.contract import PromptContract
from thinkaloud.records import Completion, Score, Task
from thinkaloud.rewards.scoring import score_batch

NO_RATIONALE = "The task gives all that is needed, and the answer follows from it."
"""The reasoning of a gold completion whose task has no rationale."""

_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldCheck:
    """Whether a task's gold answer passes; `reason` names the failure, by which dropped tasks are counted."""

    passed: bool
    score: Score
    reason: str | None = None


def gold_completion(task: Task) -> Completion:
    """The completion that the cold start trains on: the rationale and the gold answer, in the default tags."""
    reasoning = task.rationale.strip() or NO_RATIONALE
    text = f"<reasoning>{reasoning}</reasoning>\n<answer>{task.answer.strip()}</answer>"
    return Completion(text=text)


def check_gold(
    task: Task,
    *,
    contract: PromptContract | None = None,
    sandbox: CodeRunner | None = None,
    minimum: float | None = None,
    registry: Registry = BUILTIN,
) -> GoldCheck:
    """Check one task; see `check_golds`."""
    return check_golds([task], contract=contract, sandbox=sandbox, minimum=minimum, registry=registry)[0]


def check_golds(
    tasks: Sequence[Task],
    *,
    contract: PromptContract | None = None,
    sandbox: CodeRunner | None = None,
    minimum: float | None = None,
    registry: Registry = BUILTIN,
) -> list[GoldCheck]:
    """Check whether gold answers earn the reward that they should.

    Args:
        tasks: What to check; coding tasks run as one batch.
        contract: Its tags and its rule for outside text are used for parsing.
        sandbox: Where reference code is run.
        minimum: The reward to reach; when absent, 1 in verifiable domains and where answers are compared with the gold
            answer, and any valid format in other heuristic ones, because there a gold answer is only an example.

    Returns:
        One check per task; the reason of a failure is the score's status (`wrong`, `bad_format`, ...) or
        `below_minimum`.
    """
    scores = score_batch(
        tasks, [gold_completion(task) for task in tasks], contract=contract, sandbox=sandbox, registry=registry
    )
    checks = []
    for task, score in zip(tasks, scores, strict=True):
        needed = minimum if minimum is not None else 1.0 if registry.needs_gold(task.domain) else 0.0
        if score.status.masked or score.reason is not None:
            reason: str | None = str(score.status)
        elif score.reward < needed - _TOLERANCE:
            reason = "below_minimum" if score.status == "graded" else str(score.status)
        else:
            reason = None
        checks.append(GoldCheck(passed=reason is None, score=score, reason=reason))
    return checks
