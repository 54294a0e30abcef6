from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from thinkaloud.config.load import parse_recipe
from thinkaloud.config.recipe import RewardConfig
from thinkaloud.domains import BUILTIN
from thinkaloud.errors import UserError
from thinkaloud.records import Completion, RolloutGroup, Score, Status, Task
from thinkaloud.rewards.learned import rewards_to_learn

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


def learned(config: RewardConfig, seed: int = 3, some: list[RolloutGroup] | None = None) -> np.ndarray:
    return rewards_to_learn(some or groups(), config, BUILTIN, max_new_tokens=100, seed=seed)


def test_without_a_control_the_reward_is_learned_from() -> None:
    assert learned(RewardConfig()).tolist() == [list(row) for row in REWARDS]


def test_the_format_control_pays_the_format_alone() -> None:
    found = learned(RewardConfig(control="format"))
    assert found.tolist() == [[1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 1.0, 0.0]]


def test_binary_answers_pay_correct_ones_alone_where_there_is_a_verifier() -> None:
    math, creative = groups()
    creative = replace(creative, task=replace(creative.task, domain="creative_writing"))
    found = learned(RewardConfig(answers="binary"), some=[math, creative])
    assert found.tolist() == [[1.0, 0.0, 0.0, 0.0], list(REWARDS[1])]


def test_the_overlong_penalty_by_hand() -> None:
    lengths = (60, 80, 90, 100)
    completions = tuple(Completion(text="", token_ids=(7,) * length) for length in lengths)
    group = replace(groups()[0], completions=completions)
    found = learned(RewardConfig(overlong_tokens=20), some=[group])
    assert found.tolist() == [[1.0, 0.2, -0.5, -1.0]]


@pytest.mark.parametrize("truncated", ["penalize", "mask"])
def test_the_random_control_shuffles_the_rewards_that_are_not_masked(truncated: str) -> None:
    config = RewardConfig(control="random", truncated=truncated)  # type: ignore[arg-type]
    draws = np.stack([learned(config, seed) for seed in range(4000)])
    assert np.array_equal(draws[5], learned(config, 5)), "a function of the seed"
    masked = [(1, 1)] if truncated == "penalize" else [(0, 3), (1, 1)]
    counted = np.ones((2, 4), bool)
    for row, column in masked:
        assert not draws[:, row, column].any(), "stays where it is"
        counted[row, column] = False
    kept = np.sort(np.asarray(REWARDS)[counted])
    assert np.array_equal(np.sort(draws[:, counted], axis=1), np.tile(kept, (4000, 1))), "the same rewards in any order"
    # each completion is paid the mean of the step, whatever it is: sd of a mean of 4000 draws is about 0.006
    assert np.abs(draws.mean(0)[counted] - kept.mean()).max() < 0.03


@pytest.mark.parametrize("setting", [{"control": "format"}, {"answers": "binary"}, {"overlong_tokens": 8}])
def test_tunix_learns_from_the_reward_itself(setting: dict[str, object]) -> None:
    with pytest.raises(UserError, match=rf"rewards\.{next(iter(setting))}"):
        parse_recipe({"name": "a", "model": "tiny", "engine": "tunix", "rewards": setting})


def test_the_overlong_penalty_fits_the_limit() -> None:
    recipe = {"name": "a", "model": "tiny", "rollout": {"max_new_tokens": 16}, "rewards": {"overlong_tokens": 17}}
    with pytest.raises(UserError, match="overlong_tokens"):
        parse_recipe(recipe)
