"""Writes the scored completions of a step: one Parquet file per step."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from thinkaloud.records import RolloutGroup
from thinkaloud.storage.atomic import replacing
from thinkaloud.storage.unicode import well_formed


def write_rollouts(directory: Path, step: int, groups: Sequence[RolloutGroup]) -> Path:
    """Write `step-<step>.parquet` atomically, with one row per completion.

    Columns: step, member (place in its group), task_id, domain, question, gold, text, token_ids, logprobs,
    sampled_logprobs, adapter, finish, reward, status, reason, components (JSON), explanation.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [
        {
            "step": step,
            "member": member,
            "task_id": group.task.id,
            "domain": group.task.domain,
            "question": group.task.question,
            "gold": group.task.answer,
            "text": well_formed(completion.text),
            "token_ids": list(completion.token_ids),
            "logprobs": list(completion.logprobs),
            "sampled_logprobs": list(completion.sampled_logprobs),
            "adapter": completion.adapter,
            "finish": completion.finish.value,
            "reward": score.reward,
            "status": score.status.value,
            "reason": score.reason,
            "components": json.dumps(score.components),
            "explanation": well_formed(score.explanation),
        }
        for group in groups
        for member, (completion, score) in enumerate(zip(group.completions, group.scores, strict=True))
    ]
    schema = pa.schema(
        [
            ("step", pa.int64()),
            ("member", pa.int64()),
            *((name, pa.string()) for name in ("task_id", "domain", "question", "gold", "text")),
            ("token_ids", pa.list_(pa.int32())),
            ("logprobs", pa.list_(pa.float32())),
            ("sampled_logprobs", pa.list_(pa.float32())),
            ("adapter", pa.string()),
            ("finish", pa.string()),
            ("reward", pa.float64()),
            *((name, pa.string()) for name in ("status", "reason", "components", "explanation")),
        ]
    )
    path = directory / f"step-{step:06d}.parquet"
    with replacing(path) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), temporary, compression="zstd")
    return path
