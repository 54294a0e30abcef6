"""The section `curriculum` of a recipe: which tasks of a domain are drawn."""

from __future__ import annotations

from pydantic import Field

from thinkaloud.config.section import NotNegative, Positive, Section, Share


class CurriculumConfig(Section):
    """Tasks of the verifiable domains are drawn by pass rate: the share of sampled completions that were correct."""

    enabled: bool = True
    """False: each domain's tasks are drawn in a random order, whatever their pass rates."""
    probe_share: Share = 0.1
    """Completions sampled before GRPO to measure pass rates, as a share of all completions of GRPO; 0 for no probe."""
    probe_samples: int = Field(default=4, ge=2, le=1024)
    """Completions per probed task."""
    explore: Share = 0.25
    """Share of draws that go to tasks whose pass rate is not known, while there are others to draw."""
    cooldown_steps: NotNegative = 8
    """Steps before the same task is drawn again."""
    retry_steps: Positive = 60
    """Steps after which a task that was never or always solved is drawn like one that is not known."""
