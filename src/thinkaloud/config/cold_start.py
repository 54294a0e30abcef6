"""The section `cold_start` of a recipe."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from thinkaloud.config.section import (
    EnvironmentName,
    NotNegative,
    NotNegativeFloat,
    Positive,
    PositiveFloat,
    Rate,
    Section,
    Url,
)


class ColdStartConfig(Section):
    """A short supervised stage in the contract's format; `max_steps = 0` skips it (docs/cold-start.md)."""

    max_steps: NotNegative = 0
    """Maximum number of optimizer updates; a probe may end the stage earlier."""
    batch_size: Positive = 8
    """Rationales per update."""
    learning_rate: PositiveFloat | Literal["auto"] = "auto"
    """Peak of the learning rate (AdamW 0.9, 0.99, no weight decay, gradient norm 1); `auto` is five times that of
    GRPO."""
    schedule: Literal["constant", "cosine"] = "constant"
    """Course after the warm-up; `cosine` decays to zero at `max_steps`."""
    warmup_steps: NotNegative = 2
    """Updates over which the learning rate rises to its value."""
    stop_at_format_rate: Rate = 0.7
    """Stop when the sampled format rate of a probe reaches this. If it is too high, groups have no signal left."""
    stop_at_entropy: NotNegativeFloat = 0.0
    """Stop when a probe's entropy, in nats per token, is at or below this; 0 for no such limit."""
    probe_every: Positive = 4
    """Steps between probes."""
    probe_from: Positive = 4
    """The first step after which a probe is taken."""
    probe_tasks: Positive = 28
    """Training tasks per probe, with one sampled completion each."""
    source: Literal["data", "self", "teacher"] = "data"
    """What the stage trains on: the pool's rationales, or answers of the base itself or of a teacher that the reward
    accepts."""
    reading: Literal["example", "plain"] = "example"
    """How answers are asked for with `self` and `teacher`. `example`: by the contract, after one worked example.
    `plain`: in verifiable domains the question alone, as `evaluate.readings` has it; answers are read without the tags,
    and right ones are put into the format."""
    self_tasks: Positive = 64
    """With `self` and `teacher`: the most training tasks of each domain that are asked."""
    self_samples: Positive = 4
    """Samples per task."""
    self_rows_per_domain: Positive = 16
    """A domain is sampled until it has this many rows. If it gets fewer, it uses the pool's own rationales."""
    self_top_share: Rate = 0.25
    """Heuristic domains keep this share of the valid answers, by reward; verifiable domains keep the correct ones."""
    self_length_percentile: Annotated[float, Field(gt=0.0, le=100.0, allow_inf_nan=False)] = 80.0
    """Right answers longer than this percentile of a domain's right answers are dropped."""
    teacher: str = ""
    """A teacher run by our own sampler: a name, a directory or a .gguf file, as in `model.source`."""
    teacher_base_url: Url = ""
    """Or a teacher at an OpenAI-compatible endpoint: the part of the URL before /chat/completions."""
    teacher_model: str = ""
    """The teacher's name at the endpoint."""
    teacher_api_key_env: EnvironmentName | None = None
    """The environment variable (in capitals) that holds the endpoint's key; no key is sent when absent."""
    teacher_timeout_seconds: PositiveFloat = 60.0
    """Limit for a complete reply of the endpoint."""
    teacher_max_reply_tokens: Positive = 1024
    """Token limit of a reply of the endpoint; a reasoning model needs more."""

    @model_validator(mode="after")
    def _one_teacher(self) -> ColdStartConfig:
        if bool(self.teacher_base_url) != bool(self.teacher_model):
            raise ValueError("an endpoint needs both teacher_base_url and teacher_model: set the other, or remove it")
        if self.teacher and self.teacher_base_url:
            raise ValueError("teacher and teacher_base_url each name a teacher: remove one of them")
        has_teacher = bool(self.teacher or self.teacher_base_url)
        if has_teacher != (self.source == "teacher"):
            raise ValueError(
                'a teacher is named, but source is not "teacher": set it, or remove the teacher'
                if has_teacher
                else 'source is "teacher", but none is named: set teacher, or teacher_base_url and teacher_model'
            )
        return self
