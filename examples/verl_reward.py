"""thinkaloud's rewards as verl's `compute_score`.

    custom_reward_function.path=examples/verl_reward.py custom_reward_function.name=compute_score

In verl's Parquet files, `data_source` is the domain, `reward_model.ground_truth` the answer, and `extra_info` contains
the question and, if the domain needs them, `tests`, `setup` and `choices`: the columns of `thinkaloud.api.dataset`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from thinkaloud.rewards import reward_fn


def compute_score(
    data_source: str, solution_str: str, ground_truth: str, extra_info: Mapping[str, Any] | None = None, **_: Any
) -> float:
    """The reward of one completion, in [0, 1]."""
    extra = extra_info or {}
    columns = {name: [extra[name]] for name in ("question", "tests", "setup", "choices") if extra.get(name) is not None}
    (reward,) = reward_fn(
        [extra.get("question", "")], [solution_str], domain=[data_source], answer=[ground_truth], **columns
    )
    return reward
