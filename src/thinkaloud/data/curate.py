"""The steps of curation. Each takes tasks and returns fewer; every task that is dropped is entered in the ledger.

Texts are never cut: a task that does not fit is dropped whole.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from thinkaloud.data.decontaminate import Contamination
from thinkaloud.data.generators import SOURCES as GENERATED
from thinkaloud.data.ledger import Ledger
from thinkaloud.data.near_duplicates import find_near_duplicates
from thinkaloud.data.words import normalized
from thinkaloud.domains import Registry
from thinkaloud.domains.base import CodeRunner
from thinkaloud.prompt.contract import PromptContract
from thinkaloud.records import Task
from thinkaloud.rewards.gold import check_golds

Progress = Callable[[int, int, str], None]
"""(done, total, what): total is 0 where it is not known."""

GOLD_BATCH = 256
"""Tasks per batch: progress is reported between batches, and coding runs one batch at a time."""
HELD_OUT_FIRST = {"test": 0, "validation": 1, "train": 2}
TRUSTED = ("starter", *GENERATED)
"""Sources that this project's own tests check: their gold answers are not checked again, and none are copies."""


def fit_tokens(
    tasks: Sequence[Task],
    ledger: Ledger,
    contract: PromptContract,
    *,
    max_prompt_tokens: int,
    max_new_tokens: int,
    registry: Registry,
    progress: Progress,
) -> list[Task]:
    """The tasks whose prompt, and where the gold answer is compared, whose gold answer, fits the token limits.

    A rationale that does not fit together with its answer is removed: the task is kept without one, and the cold start
    skips it. Tasks of trusted sources keep both: trial recipes have limits that nothing fits.
    """
    kept = []
    for index, task in enumerate(tasks):
        if index % GOLD_BATCH == 0:
            progress(index, len(tasks), "tokens counted")
        prompt_tokens = len(contract.encode(task.question))
        if prompt_tokens > max_prompt_tokens:
            ledger.drop(task, f"prompt over {max_prompt_tokens} tokens")
            continue
        if registry.needs_gold(task.domain) and _answer_tokens(task, "-", contract) > max_new_tokens:
            if needs_check(task):
                ledger.drop(task, f"answer over {max_new_tokens} tokens")
                continue
            ledger.note(task, f"answer over {max_new_tokens} tokens")
        elif task.rationale and needs_check(task) and _answer_tokens(task, task.rationale, contract) > max_new_tokens:
            ledger.note(task, f"rationale over {max_new_tokens} tokens set aside")
            task = replace(task, rationale="")
        ledger.measure(task, prompt_tokens)
        kept.append(task)
    return kept


def _answer_tokens(task: Task, reasoning: str, contract: PromptContract) -> int:
    """Tokens of a completion with the gold answer, its end-of-turn token included."""
    return len(contract.tokenizer.encode_plain(contract.render_completion(reasoning, task.answer))) + 1


def needs_check(task: Task) -> bool:
    """Whether the gold answer has to be checked."""
    return task.source not in TRUSTED


def check_answers(
    tasks: Sequence[Task],
    ledger: Ledger,
    contract: PromptContract,
    *,
    sandbox: CodeRunner | None,
    registry: Registry,
    progress: Progress,
) -> list[Task]:
    """The tasks whose gold answer passes its own verifier; reference code runs in the sandbox."""
    kept = [task for task in tasks if not needs_check(task)]
    unchecked = [task for task in tasks if needs_check(task)]
    for first in range(0, len(unchecked), GOLD_BATCH):
        progress(first, len(unchecked), "gold answers checked")
        batch = unchecked[first : first + GOLD_BATCH]
        checks = check_golds(batch, contract=contract, sandbox=sandbox, registry=registry)
        for task, check in zip(batch, checks, strict=True):
            if check.passed:
                kept.append(task)
            else:
                why = check.score.explanation if check.score.status.masked else ""
                ledger.drop(task, f"gold answer {str(check.reason).replace('_', ' ')}", why)
    return kept


def drop_copies(
    tasks: Sequence[Task], ledger: Ledger, *, threshold: float, registry: Registry, progress: Progress
) -> list[Task]:
    """One of each task: exact copies after normalisation are dropped, then near copies. Held-out tasks are preferred.

    A copy with another gold answer is counted as a conflict in verifiable domains.

    Tasks with options are copies where the options agree too; one without options is a copy of any with its question.
    """
    seen: dict[tuple[str, str], str] = {}
    single: dict[str, list[Task]] = defaultdict(list)
    for task in sorted(tasks, key=lambda task: HELD_OUT_FIRST[task.split]):
        question = normalized(question_of(task))
        options = "\x1f".join(sorted(normalized(text) for text in task.choices))
        name = task.domain
        keys = [(name, f"{question}\x1e{options}"), (name, question)]
        gold = next((seen[key] for key in keys[: 1 if options else 2] if key in seen), None)
        if gold is not None:
            conflict = registry.is_verifiable(name) and gold != normalized(task.answer)
            ledger.drop(task, "another gold answer to the same question" if conflict else "exact copy")
            continue
        for key in keys:
            seen.setdefault(key, normalized(task.answer))
        single[name].append(task)
    kept = []
    for name, own in single.items():
        copies = find_near_duplicates(
            ["\n".join([question_of(task), *sorted(task.choices)]) for task in own],
            threshold,
            answers=[task.answer for task in own],
            progress=partial(_named, progress, f"{name}: compared"),
        )
        for task, copy in zip(own, copies, strict=True):
            if copy is None or not (needs_check(task) or needs_check(own[copy])):
                kept.append(task)
            else:
                ledger.drop(task, "near copy")
    return kept


def question_of(task: Task) -> str:
    """The question alone, without instructions and options."""
    return task.key or task.question


def _named(progress: Progress, what: str, done: int, total: int) -> None:
    progress(done, total, what)


def drop_contaminated(
    tasks: Sequence[Task], ledger: Ledger, sets: dict[str, Contamination], progress: Progress
) -> list[Task]:
    """The tasks that share no 13 words in a row with an evaluation set that the recipe names.

    Generated tasks stay: they are not copied from anywhere, and all tasks of a template share its words.
    """
    kept = []
    for index, task in enumerate(tasks):
        if index % 1000 == 0:
            progress(index, len(tasks), "compared with evaluation sets")
        compared = {} if task.source in GENERATED else sets
        hit = next((name for name, known in compared.items() if known.overlap(question_of(task))), None)
        if hit is None:
            kept.append(task)
        else:
            ledger.drop(task, f"in evaluation set {hit}")
    return kept


def split_by_hash(tasks: Sequence[Task], *, validation_share: float, test_share: float) -> list[Task]:
    """Each task with its final split: held-out tasks stay held out, the others go by a hash of the question.

    Neither the recipe's seed nor the other tasks change a task's split, and tasks with the same question share it.
    """
    done = []
    for task in tasks:
        if task.split == "train" and needs_check(task):
            place = _place("split", normalized(question_of(task)))
            if place < test_share + validation_share:
                task = replace(task, split="test" if place < test_share else "validation")
        done.append(task)
    return done


def cap(tasks: Sequence[Task], ledger: Ledger, caps: dict[tuple[str, str], int]) -> list[Task]:
    """At most `caps[source, domain]` training tasks of each: the first by a hash of their id."""
    allowed: set[str] = set()
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for task in tasks:
        if task.split == "train":
            groups[task.source, task.domain].append(task.id)
    for key, ids in groups.items():
        ids.sort(key=lambda id: _place("cap", id))
        allowed.update(ids[: caps.get(key, len(ids))])
    kept = []
    for task in tasks:
        if task.split != "train" or task.id in allowed:
            kept.append(task)
        else:
            ledger.drop(task, f"over the cap of {caps[task.source, task.domain]}")
    return kept


def _place(label: str, text: str) -> float:
    """A number in [0, 1) that depends on the text alone."""
    digest = hashlib.sha256(f"{label}\x1f{text}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
