"""The rewards as one function with the signature that TRL and Tunix expect.

Both call `reward_fn(prompts=..., completions=..., **columns)` with one entry per completion in every column. Columns
may be lists, tuples or NumPy arrays (Tunix), prompts and completions strings or chat messages (TRL).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from thinkaloud.domains import BUILTIN, Registry
from thinkaloud.domains.base import Creative
from thinkaloud.domains.choices import options_of
from thinkaloud.errors import UserError
from thinkaloud.prompt.chat_templates import CHAT_TEMPLATES, QUESTION_SLOT, TASK_TEMPLATE
from thinkaloud.records import Completion, Task, task_id
from thinkaloud.rewards.scoring import score_batch
from thinkaloud.storage.unicode import well_formed

_COLUMNS = ("domain", "answer", "question", "tests", "setup", "choices")
_BEFORE_QUESTION = TASK_TEMPLATE.partition(QUESTION_SLOT)[0]


def reward_fn(
    prompts: Collection[Any],
    completions: Collection[Any],
    *,
    creative: Creative = "guarded",
    registry: Registry = BUILTIN,
    **columns: Any,
) -> list[float]:
    """Rewards in [0, 1], one per completion.

    Args:
        prompts: Prompt texts, or lists of chat messages; the question is taken from them where there is no column
            `question`.
        completions: Completion texts, or lists of chat messages of which the last is scored.
        creative: How the heuristic domains are scored; bind it with `functools.partial`.
        registry: The domains; for those of a recipe bind `registry_of(recipe)` in the same way.
        **columns: `domain` and `answer` always; `question`, `tests`, `setup` and `choices` where the domain needs
            them; others are ignored. A list column may also hold JSON text.

    Returns:
        The rewards. Where a completion has none (a sandbox failure, a task that cannot be checked), the mean reward of
        the other completions of its prompt: its group-relative advantage is then zero, which is as close to masking
        as this interface allows.

    Raises:
        UserError: A required column is missing, or a column's length or content is wrong.
    """
    number = len(completions)
    for name in ("domain", "answer"):
        if name not in columns:
            raise UserError(f"expected a column {name!r} besides prompts and completions, found {sorted(columns)}")
    given = {"prompts": prompts} | {name: columns[name] for name in _COLUMNS if columns.get(name) is not None}
    for name, column in given.items():
        if isinstance(column, str) or not hasattr(column, "__len__") or len(column) != number:
            raise UserError(f"expected {number} entries in {name!r}, one per completion, found {_what(column)}")
    rows = [dict(zip(given, values, strict=True)) for values in zip(*given.values(), strict=True)]
    tasks = [_task(row, registry) for row in rows]
    texts = [Completion(text=_text(completion)) for completion in completions]
    scores = score_batch(tasks, texts, creative=creative, registry=registry)
    groups: dict[str, list[float]] = {}
    keys = [json.dumps(_plain(prompt), default=str, sort_keys=True) for prompt in prompts]
    for key, score in zip(keys, scores, strict=True):
        groups.setdefault(key, []).extend([] if score.status.masked else [score.reward])
    return [
        score.reward if not score.status.masked else sum(groups[key]) / max(1, len(groups[key]))
        for key, score in zip(keys, scores, strict=True)
    ]


def _task(row: Mapping[str, Any], registry: Registry) -> Task:
    name, answer = _string(row["domain"]), _string(row["answer"])
    question = _string(row["question"]) if "question" in row else question_of(_text(row["prompts"]))
    choices = options_of(registry.get(name), question, answer, _strings(row.get("choices"), "choices"))
    return Task(
        id=task_id(name, question, choices),
        domain=name,
        source="column",
        question=question,
        answer=answer,
        tests=_strings(row.get("tests"), "tests"),
        setup=_string(row.get("setup") or ""),
        choices=choices,
    )


def question_of(prompt: str) -> str:
    """The question in a prompt made by the default task template; the whole prompt for other templates."""
    _, found, question = prompt.rpartition(_BEFORE_QUESTION)
    if not found:
        return prompt
    for frame in CHAT_TEMPLATES.values():
        for suffix in (frame.suffix, frame.suffix.rstrip("\n")):
            if question.endswith(suffix):
                return question[: -len(suffix)]
    return question


def _text(value: Any) -> str:
    """A string, or the content of the last chat message of a list."""
    value = _plain(value)
    if isinstance(value, list) and value:
        value = value[-1]
    if isinstance(value, dict):
        value = value.get("content")
    if isinstance(value, list):  # content in parts
        value = "".join(part.get("text", "") for part in value if isinstance(part, dict))
    return _string(value)


def _strings(value: Any, name: str) -> tuple[str, ...]:
    value = _plain(value)
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except ValueError:
            raise UserError(f"expected a list of strings in {name!r}, found other text: {value[:40]!r}") from None
    if value is None or value == "":
        return ()
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list):
        raise UserError(f"expected a list of strings in {name!r}, found {_what(value)}")
    return tuple(_string(entry) for entry in value)


def _string(value: Any) -> str:
    value = _plain(value)
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UserError(f"expected a string, found {_what(value)}")
    return well_formed(str(value))


def _plain(value: Any) -> Any:
    """NumPy scalars and arrays as Python objects, tuples as lists."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    return list(value) if isinstance(value, tuple) else value


def _what(value: Any) -> str:
    size = f" of {len(value)}" if hasattr(value, "__len__") and not isinstance(value, str | bytes) else ""
    return f"{type(value).__name__}{size}"
