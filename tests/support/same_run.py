"""Whether two run directories have the same numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from thinkaloud.checkpoint.files import damage, list_saved
from thinkaloud.storage.run_directory import RunDir


def rows(out: Path) -> list[dict[str, Any]]:
    """The rows of `metrics.jsonl` without times."""
    return [{key: value for key, value in row.items() if key != "seconds"} for row in RunDir(out).rows()]


def numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [number for item in value.values() for number in numbers(item)]
    return [float(value)] if isinstance(value, int | float) else []


def assert_same_run(found: Path, expected: Path) -> None:
    """The same steps, metrics and evaluation to 1e-4, and the same checkpoints, all intact."""
    ours, theirs = rows(found), rows(expected)
    assert [(row["stage"], row["step"]) for row in ours] == [(row["stage"], row["step"]) for row in theirs]
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(numbers(one), numbers(other), atol=1e-4, rtol=1e-4)
    summaries = [json.loads((out / "eval" / "summary.json").read_text()) for out in (found, expected)]
    np.testing.assert_allclose(numbers(summaries[0]), numbers(summaries[1]), atol=1e-4)
    saved = list_saved(found / "checkpoints")
    assert [one.path.name for one in saved] == [one.path.name for one in list_saved(expected / "checkpoints")]
    assert [damage(one) for one in saved] == [None] * len(saved)
