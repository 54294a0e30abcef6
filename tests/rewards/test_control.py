from __future__ import annotations

import numpy as np
import pytest

from thinkaloud.config.load import parse_recipe
from thinkaloud.config.recipe import RewardConfig
from thinkaloud.errors import UserError
from thinkaloud.records import Completion, RolloutGroup, Score, Status, Task
from thinkaloud.rewards.control import rewards_to_learn

STATUSES = (
    (Status.CORRECT, Status.WRONG, Status.BAD_FORMAT, Status.TRUNCATED),
    (Status.GRADED, Status.UNSCORABLE, Status.NO_ANSWER, Status.BAD_FORMAT),
)
REWARDS = ((1.0, 0.2, 0.0, 0.0), (0.7, 0.0, 0.2, 0.0))


def groups() -> list[RolloutGroup]:
    return [
        RolloutGroup(
            task=Task(id=str(row), domain="math", source="", question="?", answer="!"),
            prompt_ids=(1,),
            completions=(Completion(text=""),) * 4,
            scores=tuple(Score(reward=r, status=s) for r, s in zip(REWARDS[row], STATUSES[row], strict=True)),
        )
        for row in range(2)
    ]


def test_without_a_control_the_reward_is_learned_from() -> None:
    assert rewards_to_learn(groups(), RewardConfig(), 3).tolist() == [list(row) for row in REWARDS]


def test_the_format_control_pays_the_format_alone() -> None:
    found = rewards_to_learn(groups(), RewardConfig(control="format"), 3)
    assert found.tolist() == [[1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 1.0, 0.0]]


@pytest.mark.parametrize("truncated", ["penalize", "mask"])
def test_the_random_control_shuffles_the_rewards_that_are_not_masked(truncated: str) -> None:
    config = RewardConfig(control="random", truncated=truncated)  # type: ignore[arg-type]
    draws = np.stack([rewards_to_learn(groups(), config, seed) for seed in range(4000)])
    assert np.array_equal(draws[5], rewards_to_learn(groups(), config, 5)), "a function of the seed"
    masked = [(1, 1)] if truncated == "penalize" else [(0, 3), (1, 1)]
    counted = np.ones((2, 4), bool)
    for row, column in masked:
        assert not draws[:, row, column].any(), "stays where it is"
        counted[row, column] = False
    kept = np.sort(np.asarray(REWARDS)[counted])
    assert np.array_equal(np.sort(draws[:, counted], axis=1), np.tile(kept, (4000, 1))), "the same rewards in any order"
    # each completion is paid the mean of the step, whatever it is: sd of a mean of 4000 draws is about 0.006
    assert np.abs(draws.mean(0)[counted] - kept.mean()).max() < 0.03


def test_tunix_has_no_controls() -> None:
    with pytest.raises(UserError, match=r"rewards\.control"):
        parse_recipe({"name": "a", "model": "tiny", "engine": "tunix", "rewards": {"control": "format"}})
