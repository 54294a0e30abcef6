"""Rewards of completions, with their breakdown.

score     the format gate and the domain score: `score`, `score_batch`
learned   what GRPO learns from: shaped rewards, and the rewards of control runs
gold      gold answers as completions, and their check
lines     `score_lines`, for JSON lines
peers     `reward_fn`, for TRL and Tunix
bench     honest answers against hacks, as data: no hack may win; `audit` reports the result by domain
speed     completions per second, by domain
"""

from __future__ import annotations

from thinkaloud.rewards.gold import GoldCheck, check_gold, check_golds, gold_completion
from thinkaloud.rewards.lines import score_lines
from thinkaloud.rewards.peers import reward_fn
from thinkaloud.rewards.scoring import FORMAT, score, score_batch

__all__ = [
    "FORMAT",
    "GoldCheck",
    "check_gold",
    "check_golds",
    "gold_completion",
    "reward_fn",
    "score",
    "score_batch",
    "score_lines",
]
