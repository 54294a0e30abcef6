"""Rows of an evaluation, one per completion with its score, in `eval/<stage>.parquet`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass
from pathlib import Path
from typing import Any

from thinkaloud.errors import UserError
from thinkaloud.records import Completion, Score, Status, Task
from thinkaloud.storage.atomic import replacing
from thinkaloud.storage.unicode import well_formed

STAGES = ("base", "cold_start", "trained")
"""The policies that are evaluated."""

READING_STAGES = {"plain": "base_plain", "example": "base_example"}
"""The readings of the base model (see `evaluate.readings`), and the names of their results."""

EVALUATED = ("base", *READING_STAGES.values(), "cold_start", "trained")
"""All results of an evaluation, in the order of every table and chart."""

STAGE_LABELS = {
    "base": "base",
    "base_plain": "base, plain",
    "base_example": "base, 1-shot",
    "cold_start": "cold start",
    "trained": "trained",
}


_PLAN = "thinkaloud.plan"
"""Key of a file's metadata."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One completion of an evaluation.

    `components` is the reward's breakdown as a JSON object; `sample` counts the completions of one task from 0; `judge`
    is empty or the outcome of asking a judge (`judged`, `failed`, `silent`), whose marks from 1 to 10 follow.

    In verifiable domains, `answer` is the answer from the tags or read without them, `answer_correct` the verifier's
    verdict on it, and `answer_group` the same for equal answers to a task (see `evaluate.answers`); `chance` and
    `constant` say how a guess does (see `domains.answer_kind`).
    """

    task_id: str
    domain: str
    source: str
    question: str
    gold: str
    text: str
    finish: str
    num_tokens: int
    reward: float
    status: str
    reason: str | None
    components: str
    explanation: str
    sample: int = 0
    judge: str = ""
    judge_reasoning: int | None = None
    judge_answer: int | None = None
    judge_overall: int | None = None
    answer: str = ""
    answer_correct: bool | None = None
    answer_group: int | None = None
    chance: float | None = None
    constant: str = ""

    @classmethod
    def of(cls, task: Task, completion: Completion, score: Score, sample: int = 0) -> Row:
        """The row of a task, its completion and its score."""
        return cls(
            task_id=task.id,
            domain=task.domain,
            source=task.source,
            question=task.question,
            gold=task.answer,
            text=completion.text,
            finish=completion.finish.value,
            num_tokens=len(completion.token_ids),
            reward=score.reward,
            status=score.status.value,
            reason=score.reason,
            components=json.dumps(score.components),
            explanation=score.explanation,
            sample=sample,
        )

    @property
    def masked(self) -> bool:
        """True where no reward could be computed."""
        return Status(self.status).masked

    @property
    def keeps_format(self) -> bool:
        """True where the completion has valid format."""
        return not Status(self.status).breaks_format


def write_rows(path: Path, rows: Sequence[Row], plan: Mapping[str, Any] | None = None) -> None:
    """Write rows as Parquet, one column per field, atomically; lone surrogates become U+FFFD.

    Args:
        plan: What the rows were made from, JSON-ready, for `read_plan`.

    Raises:
        UserError: The folder cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    integers = ("num_tokens", "sample", "judge_reasoning", "judge_answer", "judge_overall", "answer_group")
    kinds = {"reward": pa.float64(), "chance": pa.float64(), "answer_correct": pa.bool_()}
    kinds |= dict.fromkeys(integers, pa.int64())
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in Row.__dataclass_fields__])
    values = [
        {name: well_formed(value) if isinstance(value, str) else value for name, value in asdict(row).items()}
        for row in rows
    ]
    if plan is not None:
        schema = schema.with_metadata({_PLAN: json.dumps(plan)})
    table = pa.Table.from_pylist(values, schema=schema)
    replace_file(path, lambda temporary: pq.write_table(table, temporary, compression="zstd"))


def read_rows(path: Path) -> list[Row]:
    """Read the rows that `write_rows` wrote; other columns are ignored, columns that older files lack get defaults.

    Raises:
        UserError: The file is missing, is not Parquet, or lacks a column.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    fields = Row.__dataclass_fields__
    try:
        table = pq.read_table(path, partitioning=None)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"cannot read {path} as Parquet ({error}); run `thinkaloud eval` again") from error
    columns = [name for name in fields if name in table.column_names or fields[name].default is MISSING]
    missing = [name for name in columns if name not in table.column_names]
    if missing:
        raise UserError(f"{path} has no columns {', '.join(missing)}; run `thinkaloud eval` again")
    table = table.select(columns)
    try:
        return [Row(**{**values, "status": Status(values["status"]).value}) for values in table.to_pylist()]
    except (TypeError, ValueError) as error:
        raise UserError(f"{path} is not an evaluation's rows ({error}); run `thinkaloud eval` again") from error


def read_plan(path: Path) -> Any:
    """The plan that rows were written with; None where the file is missing or damaged, or has none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_schema(path).metadata or {}
        return json.loads(metadata.get(_PLAN.encode(), b"null"))
    except (OSError, ValueError, pa.ArrowException):
        return None


def replace_file(path: Path, write: Callable[[Path], Any]) -> None:
    """Call `write` on a temporary path that then replaces `path`; raises UserError where it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, fsync=True) as temporary:
            write(temporary)
    except OSError as error:
        raise UserError(
            f"cannot write {path} ({error.strerror or error}); free some space, or choose a writable folder"
        ) from error
