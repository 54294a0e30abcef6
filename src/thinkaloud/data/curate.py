"""The steps of curation, each from candidates to fewer candidates; whatever falls out is entered in the ledger.

No text is ever cut: a task that does not fit is dropped whole.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from thinkaloud.data.decontaminate import Contamination
from thinkaloud.data.ledger import Ledger
from thinkaloud.data.near_duplicates import find_near_duplicates
from thinkaloud.data.words import normalized
from thinkaloud.domains import domain
from thinkaloud.domains.base import CodeRunner
from thinkaloud.prompt.contract import PromptContract
from thinkaloud.records import Task
from thinkaloud.rewards.gold import check_golds

Progress = Callable[[int, int, str], None]
"""(done, total, what): total 0 where it is not known."""

GOLD_BATCH = 256
"""Tasks a batch: progress is shown between batches, and coding runs one batch at a time."""
HELD_OUT_FIRST = {"test": 0, "validation": 1, "train": 2}
TRUSTED = ("starter", "generated")
"""Sources that this project's own tests check: their gold answers are not tried again, and no two are copies."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A task on its way into the pool.

    `key` are the question's own words (see `sources.base.Draft`), `role` the split its source gives it ("train" is
    still to be split by a hash), `prompt_tokens` the length of its whole prompt under the contract.
    """

    task: Task
    key: str
    role: str
    prompt_tokens: int = 0


def fit_tokens(
    found: Sequence[Candidate],
    ledger: Ledger,
    contract: PromptContract,
    *,
    max_prompt_tokens: int,
    max_new_tokens: int,
    progress: Progress,
) -> list[Candidate]:
    """Those whose prompt, and in verifiable domains whose gold answer, fits the token limits.

    A rationale that does not fit with its answer is set aside whole: the task is kept, the cold start leaves it out.
    Tasks of the project's own are kept as they are: recipes for trying things have limits that nothing fits.
    """
    kept = []
    for index, candidate in enumerate(found):
        if index % GOLD_BATCH == 0:
            progress(index, len(found), "tokens counted")
        task = candidate.task
        prompt_tokens = len(contract.encode(task.question))
        if prompt_tokens > max_prompt_tokens:
            ledger.drop_task(task, f"prompt over {max_prompt_tokens} tokens")
            continue
        if domain(task.domain).kind == "verifiable" and _answer_tokens(task, "-", contract) > max_new_tokens:
            if needs_check(candidate):
                ledger.drop_task(task, f"answer over {max_new_tokens} tokens")
                continue
            ledger.note(task, f"answer over {max_new_tokens} tokens")
        elif (
            task.rationale
            and needs_check(candidate)
            and _answer_tokens(task, task.rationale, contract) > max_new_tokens
        ):
            ledger.note(task, f"rationale over {max_new_tokens} tokens set aside")
            task = replace(task, rationale="")
        kept.append(replace(candidate, task=task, prompt_tokens=prompt_tokens))
    return kept


def _answer_tokens(task: Task, reasoning: str, contract: PromptContract) -> int:
    """Tokens of a completion with the gold answer, its end-of-turn token included."""
    return len(contract.tokenizer.encode_plain(contract.render_completion(reasoning, task.answer))) + 1


def needs_check(candidate: Candidate) -> bool:
    """Whether the gold answer is still to be tried."""
    return candidate.task.source not in TRUSTED


def check_answers(
    found: Sequence[Candidate],
    ledger: Ledger,
    contract: PromptContract,
    *,
    sandbox: CodeRunner | None,
    progress: Progress,
) -> list[Candidate]:
    """Those whose gold answer passes its own verifier; reference code runs in the sandbox."""
    kept = [candidate for candidate in found if not needs_check(candidate)]
    doubtful = [candidate for candidate in found if needs_check(candidate)]
    for first in range(0, len(doubtful), GOLD_BATCH):
        progress(first, len(doubtful), "gold answers checked")
        batch = doubtful[first : first + GOLD_BATCH]
        for candidate, check in zip(
            batch, check_golds([c.task for c in batch], contract=contract, sandbox=sandbox), strict=True
        ):
            if check.passed:
                kept.append(candidate)
            else:
                ledger.drop_task(candidate.task, f"gold answer {str(check.reason).replace('_', ' ')}")
    return kept


def drop_copies(found: Sequence[Candidate], ledger: Ledger, *, threshold: float, progress: Progress) -> list[Candidate]:
    """One of each task: exact copies after normalisation, then near ones; what its source holds out stays.

    Tasks with options are copies where the options agree too; one without options is a copy of any with its question.
    """
    order = sorted(found, key=lambda c: HELD_OUT_FIRST[c.role])
    seen: set[tuple[str, str]] = set()
    single = []
    for candidate in order:
        question = normalized(candidate.key)
        options = "\x1f".join(sorted(normalized(text) for text in candidate.task.choices))
        name = candidate.task.domain
        if (name, f"{question}\x1e{options}") in seen or (not options and (name, question) in seen):
            ledger.drop_task(candidate.task, "exact copy")
            continue
        seen |= {(name, f"{question}\x1e{options}"), (name, question)}
        single.append(candidate)
    if threshold == 0.0:
        return single
    by_domain: dict[str, list[Candidate]] = defaultdict(list)
    for candidate in single:
        by_domain[candidate.task.domain].append(candidate)
    kept = []
    for name, own in by_domain.items():
        texts = ["\n".join([c.key, *sorted(c.task.choices)]) for c in own]
        copies = find_near_duplicates(
            texts,
            threshold,
            answers=[c.task.answer for c in own],
            progress=partial(_named, progress, f"{name}: compared"),
        )
        for candidate, copy in zip(own, copies, strict=True):
            if copy is None or (candidate.task.source in TRUSTED and own[copy].task.source in TRUSTED):
                kept.append(candidate)
            else:
                ledger.drop_task(candidate.task, "near copy")
    return kept


def _named(progress: Progress, what: str, done: int, total: int) -> None:
    progress(done, total, what)


def drop_contaminated(
    found: Sequence[Candidate], ledger: Ledger, sets: dict[str, Contamination], progress: Progress
) -> list[Candidate]:
    """Those that share no 13 words in a row with an evaluation set that the recipe names."""
    kept = []
    for index, candidate in enumerate(found):
        if index % 1000 == 0:
            progress(index, len(found), "compared with evaluation sets")
        hit = next((name for name, known in sets.items() if known.overlap(candidate.key)), None)
        if hit is None:
            kept.append(candidate)
        else:
            ledger.drop_task(candidate.task, f"in evaluation set {hit}")
    return kept


def split_by_hash(found: Sequence[Candidate], *, validation_share: float, test_share: float) -> list[Candidate]:
    """Each with its final split: what its source holds out stays held out, the rest goes by a hash of the question.

    Neither the recipe's seed nor the other tasks change a task's split, and tasks with one question share it.
    """
    done = []
    for candidate in found:
        split = candidate.role
        if split == "train" and candidate.task.source not in TRUSTED:
            place = _place("split", normalized(candidate.key))
            split = "test" if place < test_share else "validation" if place < test_share + validation_share else split
        done.append(replace(candidate, task=replace(candidate.task, split=split)))
    return done


def cap(found: Sequence[Candidate], ledger: Ledger, caps: dict[tuple[str, str], int]) -> list[Candidate]:
    """At most so many training tasks of each (source, domain), those that come first by a hash of their id."""
    allowed: set[str] = set()
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for candidate in found:
        if candidate.task.split == "train":
            groups[candidate.task.source, candidate.task.domain].append(candidate.task.id)
    for key, ids in groups.items():
        ids.sort(key=lambda id: _place("cap", id))
        allowed.update(ids[: caps.get(key, len(ids))])
    kept = []
    for candidate in found:
        if candidate.task.split != "train" or candidate.task.id in allowed:
            kept.append(candidate)
        else:
            limit = caps[candidate.task.source, candidate.task.domain]
            ledger.drop_task(candidate.task, f"over the cap of {limit}")
    return kept


def _place(label: str, text: str) -> float:
    """A number in [0, 1) that depends on the text alone."""
    digest = hashlib.sha256(f"{label}\x1f{text}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
